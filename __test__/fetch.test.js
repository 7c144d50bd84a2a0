'use strict';

// A manager's `fetch`: its requests, their users, and the calls that it refuses without a request.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { describe, mock, test } = require('node:test');
const { accepting, startBoth } = require('./support/api-server.js');
const { rejection, start, times, tokenResponse } = require('./support/manager.js');

const USER = 'user:default/jane';

describe('fetch', { concurrency: true }, () => {
  test('sends the token with every call, even as a detached function, and a user only with the call that names the user', async (t) => {
    const { api, manager } = await startBoth(t);
    const response = await manager.fetch('/a', { backstageUser: USER });
    assert.ok(response instanceof Response);
    assert.equal(await response.text(), 'ok');
    const { fetch } = manager;
    await fetch('/b');
    assert.deepEqual(Object.keys(manager), []);
    const [first, second] = api.requests.map(({ headers }) => headers);
    assert.equal(first.authorization, 'Bearer token-1');
    assert.equal(first['x-backstage-user'], USER);
    assert.equal(second.authorization, 'Bearer token-1');
    assert.equal('x-backstage-user' in second, false);
  });

  test('sends the user in the header that userHeader names', async (t) => {
    const { api, manager } = await startBoth(t, undefined, { resource: { userHeader: 'X-For' } });
    await manager.fetch('/', { backstageUser: USER, headers: { 'x-for': 'user:default/eve' } });
    assert.equal(api.requests[0].headers['x-for'], USER);
    assert.equal('x-backstage-user' in api.requests[0].headers, false);
  });

  test('resolves a relative input against baseUrl as a folder', async (t) => {
    const { api, endpoint, open } = await startBoth(t);
    for (const [base, input, expected] of [
      ['', 'agents', '/agents'],
      ['/', '', '/'],
      ['/v1', 'agents', '/v1/agents'],
      ['/v1/', 'agents?a=b#c', '/v1/agents?a=b'],
      ['/v1', './agents/../tools', '/v1/tools'],
      ['/v1', '/agents', '/agents'],
      ['/v1', '?a', '/v1/?a'],
      ['/a/b', '../c', '/a/c'],
      ['/v1', new URL('/other', api.url), '/other'],
      ['/v1', `${api.url}/absolute`, '/absolute'],
      ['/v1', new Request(`${api.url}/request`), '/request'],
      ['/v1', { href: 'x', toString: () => `${api.url}/framework` }, '/framework'],
      ['/v1', new String('agents'), '/v1/agents'],
    ]) {
      await open({ resource: { baseUrl: api.url + base } }).fetch(input);
      assert.equal(api.requests.at(-1).url, expected, `${base} ${input}`);
    }
    assert.equal(endpoint.requestCount, api.requests.length);
  });

  test('replaces Authorization, and leaves the arguments unchanged', async (t) => {
    const { api, manager } = await startBoth(t);
    const url = `${api.url}/`;
    const own = { AUTHORIZATION: 'Basic canary', 'X-Own': 'a' };
    for (const [name, input, init] of [
      ['a record', url, { headers: own }],
      ['an array', url, { headers: Object.entries(own) }],
      ['Headers', url, { headers: new Headers(own) }],
      ['a Request', new Request(url, { headers: own }), undefined],
      ['a Request as init', url, new Request(url, { headers: own })],
    ]) {
      const seen = () => JSON.stringify([input, init].map((one) => [...new Headers(one?.headers)]));
      const before = seen();
      await manager.fetch(input, Object.freeze(init));
      const { headers } = api.requests.at(-1);
      assert.equal(headers.authorization, 'Bearer token-1', name);
      assert.equal(headers['x-own'], 'a', name);
      assert.equal(seen(), before, name);
    }
  });

  test('reads init when the program makes the call', async (t) => {
    const { api, manager } = await startBoth(t);
    const init = { method: 'POST', body: 'first', headers: new Headers({ 'x-own': 'first' }) };
    const call = manager.fetch('/', init);
    init.body = 'second';
    init.headers.set('x-own', 'second');
    await call;
    assert.equal(api.requests[0].body, 'first');
    assert.equal(api.requests[0].headers['x-own'], 'first');
  });

  test('accepts a Request with its method, headers, body and signal', async (t) => {
    const { api, manager } = await startBoth(t);
    const { signal } = new AbortController();
    const options = { method: 'PUT', body: 'a body', headers: { 'x-own': 'a' }, signal };
    const request = () => new Request(`${api.url}/r`, options);
    await manager.fetch(request(), { backstageUser: USER });
    await manager.fetch('/r', request());
    for (const { method, url, headers, body } of api.requests) {
      assert.deepEqual([method, url, body], ['PUT', '/r', 'a body']);
      assert.equal(headers['x-own'], 'a');
    }
    const [{ headers }] = api.requests;
    assert.equal(headers['content-length'], '6');
    assert.equal(headers['x-backstage-user'], USER);
    const aborted = new Request(`${api.url}/r`, { signal: AbortSignal.abort(new Error('mine')) });
    await assert.rejects(manager.fetch(aborted), { message: 'mine' });
    assert.equal(api.requests.length, 2);
  });

  test('refuses invalid arguments, and sends no request', async (t) => {
    const { api, endpoint, manager } = await startBoth(t);
    const texts = ['', ' ', ' a', 'a\r\nX-Evil: b', 'a\tb', 'a\0b', 'a\x7f', 'é', '😀'];
    const users = [...texts, null, 1, true, [USER], { toString: () => USER }];
    for (const [what, ...args] of [
      ['input'],
      ['input', null],
      ['input', 1],
      ['input', {}],
      ['input', 'http://['],
      ['init', '/', 'POST'],
      ['minValiditySeconds', '/', { minValiditySeconds: '1' }],
      ['minValiditySeconds', '/', { minValiditySeconds: -1 }],
      ['signal', '/', { signal: {} }],
      ...users.map((backstageUser) => ['backstageUser', '/', { backstageUser }]),
    ]) {
      const error = await rejection(manager.fetch(...args), 'ERR_KEYCLOAK_REQUEST');
      assert.match(error.message, new RegExp(`^${what}: [^\\r\\n]*$`), JSON.stringify(args));
    }
    await assert.rejects(manager.fetch('/', { headers: { 'x-own': 'a\nb' } }), TypeError);
    assert.equal(api.requests.length, 0);
    assert.equal(endpoint.requestCount, 0);
    for (const init of [null, undefined, { signal: null, minValiditySeconds: undefined }]) {
      assert.equal((await manager.fetch('/', init)).status, 200);
    }
  });

  test('names a fetch function that returns no Response', async (t) => {
    const { manager } = await startBoth(t, undefined, { resource: { fetch: async () => {} } });
    const error = await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_CONFIG');
    assert.match(error.message, /returned no Response; correct resource\.fetch/);
  });

  test('requires the option resource', async (t) => {
    const { endpoint, manager } = await start(t);
    const error = await rejection(manager.fetch('http://127.0.0.1/'), 'ERR_KEYCLOAK_CONFIG');
    assert.match(error.message, /resource/);
    assert.equal(endpoint.requestCount, 0);
  });

  test('sends no request if the manager obtains no token', async (t) => {
    const { api, endpoint, manager } = await startBoth(t);
    endpoint.setAnswer({ status: 401, body: { error: 'unauthorized_client' } });
    await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(api.requests.length, 0);
  });

  test('sends each of a hundred users with their own call, even after a 401', async (t) => {
    const tokens = new Set();
    const echo = ({ url, headers }) => `${url} ${headers['x-backstage-user']}`;
    const { api, endpoint, manager } = await startBoth(t, accepting(tokens, echo));
    await manager.getToken();
    tokens.add('token-2');
    await Promise.all(
      times(100, async (n) => {
        const response = await manager.fetch(`/${n}`, { backstageUser: `user:default/u${n}` });
        assert.equal(await response.text(), `/${n} user:default/u${n}`);
      }),
    );
    for (const { url, headers } of api.requests) {
      assert.equal(headers['x-backstage-user'], `user:default/u${url.slice(1)}`);
    }
    assert.equal(endpoint.requestCount, 2);
    assert.ok(api.requests.length > 100, 'some were refused first');
  });

  test('rejects with the reason of an abort in every phase', async (t) => {
    const { api, endpoint, manager } = await startBoth(t, () => undefined);
    const reason = new Error('mine');
    const early = AbortSignal.abort(reason);
    await assert.rejects(manager.fetch('/', { signal: early }), reason);
    assert.equal(endpoint.requestCount, 0);

    endpoint.pause();
    const whileToken = new AbortController();
    const { signal } = whileToken;
    const waiting = manager.fetch('/', { signal });
    const inRequest = manager.fetch(new Request(api.url, { signal }));
    await endpoint.waitForRequests(1);
    whileToken.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(inRequest, reason);
    assert.equal(api.requests.length, 0);
    endpoint.resume();

    const whileResponse = new AbortController();
    const sent = manager.fetch('/', { signal: whileResponse.signal });
    await api.arrived(1);
    whileResponse.abort(reason);
    await assert.rejects(sent, reason);
    assert.equal(api.requests.length, 1);

    const refusing = await startBoth(t, () => [401]);
    await refusing.manager.getToken();
    refusing.endpoint.pause();
    const whileReplaced = new AbortController();
    const refused = refusing.manager.fetch('/', { signal: whileReplaced.signal });
    await refusing.endpoint.waitForRequests(2);
    whileReplaced.abort(reason);
    await assert.rejects(refused, reason);
    assert.equal(refusing.api.requests.length, 1);
  });

  test('ignores close() after it has sent the request, and rejects if it waits for a token', async (t) => {
    let respond;
    const { api, endpoint, manager } = await startBoth(t, (_, response) => {
      respond = () => response.end('late');
    });
    const sent = manager.fetch('/');
    await api.arrived(1);
    manager.clearCache();
    endpoint.pause();
    const waiting = manager.fetch('/');
    await endpoint.waitForRequests(2);
    await manager.close();
    await rejection(waiting, 'ERR_KEYCLOAK_CLOSED');
    await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_CLOSED');
    respond();
    assert.equal(await (await sent).text(), 'late');
    assert.equal(api.requests.length, 1);
  });

  test('streams the body, with a token that has the requested validity', async (t) => {
    let stream;
    const { api, endpoint, manager } = await startBoth(t, (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      stream = response;
    });
    endpoint.answerNext({ body: tokenResponse('short', 100) });
    await manager.getToken();
    const response = await manager.fetch('/', { minValiditySeconds: 250 });
    assert.equal(api.requests[0].headers.authorization, 'Bearer token-1');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, 'data: 1\n\n');
    stream.write('data: 2\n\n');
    assert.equal((await reader.read()).value, 'data: 2\n\n');
    const closed = once(stream, 'close');
    await reader.cancel();
    await closed;
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('the function that sends the request', () => {
  test('is the function in resource.fetch, and the manager returns its response', async (t) => {
    const calls = [];
    const answers = [new Response('no', { status: 401 }), new Response('yes')];
    const double = (...args) => {
      calls.push(args);
      return Promise.resolve(answers[calls.length - 1]);
    };
    const resource = { baseUrl: 'https://API.example/v1', fetch: double };
    const { manager } = await start(t, { resource });
    const dispatcher = {};
    const init = { method: 'POST', body: 'a', dispatcher, backstageUser: USER };
    const response = await manager.fetch('https://api.example:443/x', init);
    assert.equal(response, answers[1]);
    const [[url, first], [again, second]] = calls;
    assert.equal(url, 'https://api.example/x');
    assert.equal(again, url);
    assert.notEqual(first.headers.get('authorization'), second.headers.get('authorization'));
    for (const { headers, ...rest } of [first, second]) {
      assert.deepEqual(rest, { method: 'POST', body: 'a', dispatcher, redirect: 'manual' });
      assert.equal(rest.dispatcher, dispatcher);
      assert.equal(headers.get('x-backstage-user'), USER);
    }
    assert.equal(answers[0].bodyUsed, true);
  });

  test('is the current global fetch by default', async (t) => {
    const { api, manager } = await startBoth(t);
    await manager.fetch('/');
    const replaced = mock.method(globalThis, 'fetch', async () => new Response('mocked'));
    t.after(() => replaced.mock.restore());
    assert.equal(await (await manager.fetch('/')).text(), 'mocked');
    assert.equal(api.requests.length, 1);
  });
});

test("init may inherit its properties, as with the platform's fetch", async (t) => {
  const { api, manager } = await startBoth(t);
  class Init {
    get method() {
      return 'DELETE';
    }
  }
  await (await manager.fetch('/', Object.create({ method: 'POST', body: 'x' }))).text();
  await (await manager.fetch('/', new Init())).text();
  const [first, second] = api.requests;
  assert.deepEqual([first.method, first.body], ['POST', 'x']);
  assert.deepEqual([second.method, second.body], ['DELETE', '']);
});
