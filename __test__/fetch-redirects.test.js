'use strict';

// The origins to which a manager's `fetch` sends the token, and its handling of redirects.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { Readable } = require('node:stream');
const { describe, test } = require('node:test');
const { bearer, startApi, startBoth } = require('./support/api-server.js');
const { rejection, start } = require('./support/manager.js');

const USER = 'user:default/jane';

/** Redirects requests below `/to/`, and responds to other requests with their method. */
function redirecting(status, location) {
  return ({ method, url }) => {
    if (!url.startsWith('/to/')) return method === 'HEAD' ? '' : `done by ${method}`;
    return [status, location === undefined ? {} : { location }, 'moved'];
  };
}

describe('fetch', { concurrency: true }, () => {
  test('compares origins after parsing, and sends no request to another origin', async (t) => {
    const other = await startApi(t);
    const { api, endpoint, manager } = await startBoth(t);
    const host = `127.0.0.1:${other.port}`;
    const spellings = `http://${host}/ //${host}/path \\\\${host} /\\${host}/ \\/${host}/a
      HTTP://${host} http:\\\\${host} http://127.0.0.1:${api.port}@${host}/ //h \\\\h
      http://localhost:${api.port}/ https://127.0.0.1:${api.port}/ http://127.0.0.1/
      http://[::1]:${api.port}/ http://${USER}@127.0.0.1:${api.port}/ //a:b@127.0.0.1:${api.port}/
      http://127.0.0.1.:${api.port}.evil/ ws://127.0.0.1:${api.port}/ data:,a blob:${api.url}/a
      filesystem:${api.url}/a file:///etc/hosts about:blank`.split(/\s+/);
    for (const input of [
      ...spellings,
      `\t//${host}/`,
      `/\n/${host}/`,
      ` http://${host}/ `,
      new URL(other.url),
      new Request(other.url),
      new Request(`blob:${api.url}/a`),
    ]) {
      for (const init of [{ backstageUser: USER }, { redirect: 'manual' }]) {
        const name = String(input.url ?? input);
        const error = await rejection(manager.fetch(input, init), 'ERR_KEYCLOAK_REQUEST');
        assert.match(error.message, /^input: [\x20-\x7e]+$/, name);
      }
    }
    assert.equal(endpoint.requestCount, 0);
    assert.equal(api.connectionCount, 0);
    assert.equal(other.connectionCount, 0);
  });

  test('accepts every spelling of the origin', async (t) => {
    const { api, manager } = await startBoth(t);
    const { port } = api;
    for (const input of [
      `HTTP://127.0.0.1:${port}/x`,
      `http:\\\\127.0.0.1:${port}\\x`,
      `//127.0.0.1:${port}/x`,
      'http:x',
      '\t/x\n',
      '\\x',
      `http://2130706433:${port}/x`,
      `http://127.1:${port}/x`,
    ]) {
      assert.equal((await manager.fetch(input)).status, 200, input);
      assert.equal(api.requests.at(-1).url, '/x', input);
    }
  });

  test('accepts the origin with or without the default port', async (t) => {
    const sent = [];
    const fetch = async (url) => {
      sent.push(url);
      return new Response('ok');
    };
    const options = { resource: { baseUrl: 'HTTPS://Api.Example:443/v1', fetch } };
    const { manager } = await start(t, options);
    for (const input of ['https://api.example/a', 'https://API.example:443/a', '/a', 'a']) {
      await manager.fetch(input);
    }
    const absolute = 'https://api.example/a';
    assert.deepEqual(sent, [absolute, absolute, absolute, 'https://api.example/v1/a']);
    await rejection(manager.fetch('http://api.example/a'), 'ERR_KEYCLOAK_REQUEST');
    await rejection(manager.fetch('https://api.example:8443/a'), 'ERR_KEYCLOAK_REQUEST');
    assert.equal(sent.length, 4);
  });
});

describe('fetch at a redirect', { concurrency: true }, () => {
  test('within the origin follows the redirect as the platform does, with the token and the user', async (t) => {
    for (const status of [300, 301, 302, 303, 304, 305, 306, 307, 308]) {
      const { api, manager } = await startBoth(t, redirecting(status, '../there?a=b'));
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const name = `${status} ${method}`;
        const hasBody = method !== 'GET' && method !== 'HEAD';
        const form = () => new URLSearchParams({ a: 'b' });
        const headers = { 'X-Own': 'a', 'Content-Language': 'en', 'X-Backstage-User': USER };
        const authorization = `Bearer ${await manager.getToken()}`;
        const init = () => ({ method, ...(hasBody && { body: form() }) });

        api.requests.length = 0;
        const plainInit = { ...init(), headers: { ...headers, authorization } };
        const plain = await fetch(`${api.url}/to/it`, plainInit);
        const plainBody = await plain.text();
        const expected = api.requests.splice(0);

        const ourInit = { ...init(), headers, backstageUser: USER };
        const ours = await manager.fetch('/to/it', ourInit);
        assert.equal(await ours.text(), plainBody, name);
        assert.equal(ours.status, plain.status, name);
        assert.equal(ours.url, plain.url, name);
        assert.deepEqual(api.requests, expected, name);
      }
    }
  });

  test('follows at most twenty redirects in a row', async (t) => {
    const { api, manager } = await startBoth(t, ({ url }) => {
      const left = Number(url.slice(1));
      return left === 0 ? 'done' : [302, { location: `/${left - 1}` }, 'moved'];
    });
    assert.equal(await (await manager.fetch('/20')).text(), 'done');
    assert.equal(api.requests.length, 21);
    assert.ok(api.connectionCount <= 2, 'bodies on the way are read');
    const error = await rejection(manager.fetch('/21'), 'ERR_KEYCLOAK_REQUEST');
    assert.match(error.message, /^redirect:/);
    assert.equal(api.requests.length, 42);
  });

  test('to another origin rejects, and sends no request there', async (t) => {
    const other = await startApi(t);
    for (const location of [
      `${other.url}/`,
      `//127.0.0.1:${other.port}/`,
      `\\\\127.0.0.1:${other.port}/`,
      'https://127.0.0.1/',
      'data:,a',
      'http://[',
      'file:///etc/hosts',
    ]) {
      for (const status of [301, 302, 303, 307, 308]) {
        let closed;
        const { api, manager } = await startBoth(t, (_, response) => {
          closed = once(response, 'close');
          response.writeHead(status, { location });
          response.write('without end');
        });
        const call = manager.fetch('/', { method: 'POST', body: 'a', backstageUser: USER });
        const error = await rejection(call, 'ERR_KEYCLOAK_REQUEST');
        assert.match(error.message, /^redirect: [\x20-\x7e]+$/, location);
        await closed;
        assert.equal(api.requests.length, 1);
      }
    }
    assert.equal(other.connectionCount, 0);
  });

  test('to a URL with a user name rejects, even if the origin is the same', async (t) => {
    const answer = ({ headers }) => [302, { location: `http://a:b@${headers.host}/` }];
    const { api, manager } = await startBoth(t, answer);
    await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_REQUEST');
    assert.equal(api.requests.length, 1);
  });

  test('without Location returns the response, and with a non-ASCII Location keeps its bytes', async (t) => {
    const { manager: without } = await startBoth(t, redirecting(302));
    const response = await without.fetch('/to/it');
    assert.equal(response.status, 302);
    assert.equal(await response.text(), 'moved');
    const location = Buffer.from('/ä?ö').toString('latin1');
    const { api, manager } = await startBoth(t, redirecting(302, location));
    await manager.fetch('/to/it');
    assert.equal(api.requests[1].url, '/%C3%A4?%C3%B6');
  });

  test('does not follow the redirect with redirect: manual or error', async (t) => {
    const { api, manager } = await startBoth(t, redirecting(302, '/there'));
    for (const args of [
      ['/to/it', { redirect: 'manual' }],
      [new Request(`${api.url}/to/it`, { redirect: 'manual' })],
    ]) {
      const response = await manager.fetch(...args);
      assert.equal(response.status, 302);
      assert.equal(response.headers.get('location'), '/there');
      assert.equal(await response.text(), 'moved');
    }
    await assert.rejects(manager.fetch('/to/it', { redirect: 'error' }), TypeError);
    await assert.rejects(manager.fetch('/to/it', { redirect: 'sideways' }), TypeError);
    const urls = api.requests.map(({ url }) => url);
    assert.deepEqual(urls, ['/to/it', '/to/it', '/to/it']);
  });

  test('that requires a consumed body again rejects', async (t) => {
    for (const status of [302, 303, 307, 308]) {
      for (const make of [
        (url) => [url, { method: 'POST', body: Readable.from(['a']), duplex: 'half' }],
        (url) => [
          new Request(url, { method: 'POST', body: Readable.from(['a']), duplex: 'half' }),
          { body: Readable.from(['b']), duplex: 'half' },
        ],
      ]) {
        const { api, manager } = await startBoth(t, redirecting(status, '/there'));
        const call = manager.fetch(...make(`${api.url}/to/it`));
        if (status <= 303) {
          assert.equal(await (await call).text(), 'done by GET');
          assert.equal(api.requests[1].body, '');
          assert.equal(api.requests[1].headers['content-type'], undefined);
        } else {
          await rejection(call, 'ERR_KEYCLOAK_REQUEST');
          assert.equal(api.requests.length, 1);
        }
      }
    }
  });

  test('sends the body of a Request again where the Fetch standard requires it', async (t) => {
    for (const [status, method, body] of [
      [302, 'GET', ''],
      [303, 'GET', ''],
      [307, 'POST', 'a'],
      [308, 'POST', 'a'],
    ]) {
      const { api, manager } = await startBoth(t, redirecting(status, '/there'));
      const options = { method: 'POST', body: 'a', headers: { 'x-own': 'a' } };
      const response = await manager.fetch(new Request(`${api.url}/to/it`, options));
      assert.equal(await response.text(), `done by ${method}`);
      assert.equal(api.requests[1].body, body);
      assert.equal(api.requests[1].headers['x-own'], 'a');
    }
  });

  test('keeps the method, headers and signal of a Request', async (t) => {
    const { api, manager } = await startBoth(t, redirecting(307, '/there'));
    const controller = new AbortController();
    const options = { method: 'DELETE', headers: { 'x-own': 'a' }, signal: controller.signal };
    const response = await manager.fetch(new Request(`${api.url}/to/it`, options));
    assert.equal(await response.text(), 'done by DELETE');
    assert.equal(api.requests[1].headers['x-own'], 'a');
    const reason = new Error('mine');
    const { manager: slow, api: silent } = await startBoth(t, ({ url }) =>
      url === '/there' ? controller.abort(reason) : [307, { location: '/there' }],
    );
    await assert.rejects(slow.fetch(new Request(`${silent.url}/to/it`, options)), reason);
    assert.equal(silent.requests.length, 2);
  });

  test('that leads to a 401 sends only the refused request again', async (t) => {
    for (const body of ['a', Readable.from(['a'])]) {
      const { api, endpoint, manager } = await startBoth(t, (request) => {
        if (request.url === '/jobs') return [303, { location: '/jobs/1' }];
        return [bearer(request) === 'token-1' ? 401 : 200];
      });
      const response = await manager.fetch('/jobs', { method: 'POST', body, duplex: 'half' });
      assert.equal(response.status, 200);
      const sent = api.requests.map(({ method, url }) => `${method} ${url}`);
      assert.deepEqual(sent, ['POST /jobs', 'GET /jobs/1', 'GET /jobs/1']);
      assert.equal(endpoint.requestCount, 2);
    }
  });
});
