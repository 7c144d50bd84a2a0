'use strict';

// The behaviour of a manager's `fetch` when the API rejects its token.

const assert = require('node:assert/strict');
const { PassThrough, Readable } = require('node:stream');
const http = require('node:http');
const { describe, test } = require('node:test');
const reconfigure = require('../lib/reconfigure.js');
const { accepting, bearer, startApi, startBoth } = require('./support/api-server.js');
const { listen } = require('./support/listen.js');
const { rejection, times } = require('./support/manager.js');

const CHUNK = Buffer.alloc(64 * 1024);

/** The tokens that the API accepts: only the replacement of the first token. */
const revoked = () => new Set(['token-2']);
/** Reads a response to its end and returns its status. */
const statusOf = async (call) => {
  const response = await call;
  await response.arrayBuffer();
  return response.status;
};

// This test runs alone, because the protection lasts a second.
test('fetch returns the second 401 for a refused token, or the first while the manager protects the replacement', async (t) => {
  const { api, endpoint, manager } = await startBoth(t, accepting(new Set()));
  const second = await manager.fetch('/');
  assert.deepEqual([second.status, second.bodyUsed], [401, false]);
  assert.equal(await second.text(), 'refused');
  assert.deepEqual(api.requests.map(bearer), ['token-1', 'token-2']);

  const kept = await manager.fetch('/', { method: 'POST', body: 'a' });
  assert.deepEqual([kept.status, kept.bodyUsed], [401, false]);
  assert.equal(kept.headers.get('www-authenticate'), 'Bearer');
  assert.equal(await kept.text(), 'refused');
  assert.deepEqual(api.requests.map(bearer), ['token-1', 'token-2', 'token-2']);

  assert.equal(endpoint.requestCount, 2);
  const { invalidations, invalidationsKept, invalidationsIgnored } = manager.snapshot().counters;
  assert.deepEqual([invalidations, invalidationsKept, invalidationsIgnored], [1, 2, 0]);
});

describe('fetch with a refused token', { concurrency: true }, () => {
  test('replaces the token and sends the request once more with every method', async (t) => {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const { api, endpoint, manager } = await startBoth(t, accepting(revoked()));
      const headers = { 'x-own': 'a' };
      const init = { method, headers, backstageUser: 'user:default/jane' };
      assert.equal((await manager.fetch('/a?b', init)).status, 200, method);
      const [first, second] = api.requests.map(({ headers, ...rest }) => {
        const { authorization, ...others } = headers;
        return { authorization, others, ...rest };
      });
      assert.equal(first.authorization, 'Bearer token-1');
      assert.equal(first.method, method);
      assert.deepEqual(second, { ...first, authorization: 'Bearer token-2' });
      assert.equal(api.requests.length, 2);
      assert.equal(endpoint.requestCount, 2);
    }
  });

  test('replaces the token for every body that fetch can send again', async (t) => {
    const bytes = Buffer.from('abc');
    const form = new FormData();
    form.set('a', 'abc');
    for (const [name, body] of [
      ['string', 'abc'],
      ['Buffer', bytes],
      ['Uint8Array', new Uint8Array(bytes)],
      ['DataView', new DataView(new Uint8Array(bytes).buffer)],
      ['ArrayBuffer', new Uint8Array(bytes).buffer],
      ['Blob', new Blob(['abc'])],
      ['URLSearchParams', new URLSearchParams({ a: 'abc' })],
      ['FormData', form],
      ['URL', new URL('http://abc.example/')],
      ['object', { toString: () => 'abc' }],
    ]) {
      const { api, manager } = await startBoth(t, accepting(revoked()));
      const response = await manager.fetch('/', { method: 'POST', body });
      assert.equal(response.status, 200, name);
      // The boundary of a form differs from request to request.
      const sent = api.requests.map((request) => request.body.replace(/-+formdata-\S+/g, ''));
      assert.equal(sent.length, 2, name);
      assert.match(sent[0], /abc/, name);
      assert.equal(sent[1], sent[0], name);
    }
  });

  test('opens no additional connection, even if the 401 has a long body', async (t) => {
    // The page is longer than the part that any Node version reads ahead.
    const page = Buffer.alloc(200 * 1024, 'refused ');
    let count = 0;
    const { api, open } = await startBoth(t, () => {
      count += 1;
      return [count % 2 === 0 ? 200 : 401, {}, page];
    });
    // Each call has its own manager, because a manager spaces rejections.
    for (const _ of times(10)) assert.equal(await statusOf(open().fetch('/')), 200);
    assert.ok(api.connectionCount <= 2, `${api.connectionCount} connections`);
  });

  describe('in a Request with a body', () => {
    const MIB = 1024 * 1024;
    const form = new FormData();
    form.set('file', new Blob(['abc']), 'a.txt');
    const big = (length) => Buffer.alloc(length, 'a');
    const stream = (text) => Readable.toWeb(Readable.from([Buffer.from(text)]));
    for (const [name, init, contentType, more] of [
      ['text', { body: 'abc' }, /^text\/plain/],
      [
        'JSON',
        { body: '{"a":"é"}', headers: { 'content-type': 'application/json' } },
        /^application\/json$/,
      ],
      ['form fields', { body: new URLSearchParams({ a: 'b c' }) }, /^application\/x-www-form-url/],
      ['form data', { body: form }, /^multipart\/form-data; boundary=/],
      ['a Blob', { body: new Blob(['abc'], { type: 'image/png' }) }, /^image\/png$/],
      ['a buffer of 1 MiB', { body: big(MIB) }, undefined],
      ['a finished stream', { body: stream('abc'), duplex: 'half' }, undefined],
      ['text beside a null body', { body: 'abc' }, /^text\/plain/, { body: null }],
    ]) {
      test(`replaces the token and sends ${name} once more`, async (t) => {
        const { api, endpoint, manager } = await startBoth(t, accepting(revoked()));
        const options = { method: 'POST', ...init };
        const signal = new AbortController().signal;
        const request = new Request(`${api.url}/a?b`, { ...options, signal });
        const response = await manager.fetch(request, {
          backstageUser: 'user:default/jane',
          ...more,
        });
        assert.equal(response.status, 200);
        const [first, second] = api.requests;
        assert.deepEqual([second.method, second.url], ['POST', '/a?b']);
        assert.equal(second.body.length, first.body.length);
        assert.equal(second.body, first.body);
        for (const { headers } of api.requests) {
          assert.equal(headers['x-backstage-user'], 'user:default/jane');
          if (contentType) assert.match(headers['content-type'], contentType);
          if (name.startsWith('a finished')) continue;
          assert.equal(headers['content-length'], `${first.body.length}`);
        }
        assert.equal(first.headers['content-type'], second.headers['content-type']);
        assert.equal(endpoint.requestCount, 2);
      });
    }

    for (const [name, make] of [
      ['over 1 MiB', () => ({ body: big(MIB + 1) })],
      ['that is a stream over 1 MiB', () => ({ body: stream(big(MIB + 1)), duplex: 'half' })],
      [
        'that is unfinished',
        () => {
          const body = new ReadableStream({ start: (controller) => controller.enqueue(big(3)) });
          return { body, duplex: 'half' };
        },
      ],
    ]) {
      test(`${name} returns the 401 and drops the token`, async (t) => {
        const api = http.createServer((request, response) => {
          const isAccepted = request.headers.authorization === 'Bearer token-2';
          response.writeHead(isAccepted ? 200 : 401).end('refused');
        });
        const { url } = await listen(t, api);
        const { endpoint, manager } = await startBoth(t, undefined, { resource: { baseUrl: url } });
        const abort = new AbortController();
        const options = { method: 'POST', signal: abort.signal, ...make() };
        const response = await manager.fetch(new Request(url, options));
        assert.equal(response.status, 401);
        assert.equal(await response.text(), 'refused');
        assert.equal(endpoint.requestCount, 1);
        assert.equal((await manager.fetch('/')).status, 200);
        assert.equal(endpoint.requestCount, 2);
        abort.abort();
      });
    }
  });

  test('returns the 401 for a consumed body and drops the token', async (t) => {
    const stream = () => Readable.toWeb(Readable.from(['abc']));
    async function* chunks() {
      yield Buffer.from('abc');
    }
    for (const [name, make] of [
      ['ReadableStream', () => ['/', { method: 'POST', body: stream(), duplex: 'half' }]],
      ['async iterable', () => ['/', { method: 'POST', body: chunks(), duplex: 'half' }]],
      ['Readable', () => ['/', { method: 'POST', body: Readable.from(['abc']), duplex: 'half' }]],
    ]) {
      const { api, endpoint, manager } = await startBoth(t, accepting(revoked()));
      const response = await manager.fetch(...make(api.url));
      assert.equal(response.status, 401, name);
      assert.equal(await response.text(), 'refused', name);
      assert.equal(api.requests.length, 1, name);
      assert.equal(api.requests[0].body, 'abc', name);
      assert.equal(endpoint.requestCount, 1, name);
      assert.equal((await manager.fetch('/')).status, 200, name);
      assert.equal(endpoint.requestCount, 2, name);
    }
  });

  test('replaces the token at most once in each call', async (t) => {
    const { api, endpoint, manager } = await startBoth(t, (request) => {
      if (bearer(request) === 'token-2') manager.clearCache();
      return [401, {}, 'refused'];
    });
    assert.equal(await statusOf(manager.fetch('/')), 401);
    assert.equal(api.requests.length, 2);
    assert.equal(endpoint.requestCount, 2);
  });

  test('does not replace the token after another status', async (t) => {
    for (const status of [400, 403, 404, 408, 429, 500, 502, 503, 504]) {
      const { api, endpoint, manager } = await startBoth(t, () => [status]);
      assert.equal((await manager.fetch('/', { method: 'POST' })).status, status);
      assert.equal(api.requests.length, 1, 'a POST is not repeated');
      assert.equal(endpoint.requestCount, 1);
      assert.equal(manager.snapshot().state, 'fresh');
    }
  });

  test('reads the body of the 401 up to a size and a time limit', async (t) => {
    let flooded = 0;
    const read = () => {
      flooded += CHUNK.length;
      flood.push(CHUNK);
    };
    const flood = new Readable({ read });
    for (const [name, refuse] of [
      ['floods', (response) => flood.pipe(response)],
      ['stalls', (response) => response.write('a')],
    ]) {
      let closed;
      const tokens = revoked();
      const { api, manager } = await startBoth(t, (request, response) => {
        if (tokens.has(bearer(request))) return 'ok';
        closed = new Promise((resolve) => response.once('close', resolve));
        response.writeHead(401);
        refuse(response);
      });
      const started = performance.now();
      assert.equal((await manager.fetch('/')).status, 200, name);
      const took = performance.now() - started;
      if (name === 'stalls') assert.ok(took > 900 && took < 5000, `${took} ms`);
      await closed;
      assert.equal(api.requests.length, 2, name);
    }
    flood.destroy();
    // This allows for the limit and for the buffers of both sides.
    assert.ok(flooded < 24 * 1024 * 1024, `${flooded} bytes`);
  });

  test('replaces the token once for fifty concurrent calls, which all succeed', async (t) => {
    const gathered = [];
    const tokens = revoked();
    const { api, endpoint, manager } = await startBoth(t, async (request) => {
      if (tokens.has(bearer(request))) return 'ok';
      // The API refuses no request before all requests have arrived.
      await new Promise((resolve) => {
        gathered.push(resolve);
        if (gathered.length === 50) for (const go of gathered) go();
      });
      return [401, {}, 'refused'];
    });
    const calls = times(50, () => statusOf(manager.fetch('/')));
    assert.deepEqual(new Set(await Promise.all(calls)), new Set([200]));
    assert.equal(api.requests.length, 100);
    assert.equal(endpoint.requestCount, 2, 'the first token, and its replacement');
  });

  test('causes few logins if the API refuses everything', async (t) => {
    const { api, endpoint, manager } = await startBoth(t, accepting(new Set()));
    const statuses = [];
    const started = performance.now();
    await Promise.all(
      times(4, async () => {
        for (const _ of times(250)) statuses.push(await statusOf(manager.fetch('/')));
      }),
    );
    assert.ok(performance.now() - started < 60_000);
    assert.equal(statuses.length, 1000);
    assert.deepEqual(new Set(statuses), new Set([401]));
    assert.ok(endpoint.requestCount <= 10, `${endpoint.requestCount} acquisitions`);
    assert.ok(api.connectionCount <= 8, `${api.connectionCount} connections`);
  });

  test('on one route does not affect the other routes', async (t) => {
    const { api, endpoint, manager } = await startBoth(t, ({ url }) =>
      url === '/bad' ? [401] : 'done',
    );
    for (const _ of times(100)) {
      assert.equal(await statusOf(manager.fetch('/bad')), 401);
      assert.equal(await statusOf(manager.fetch('/good')), 200);
    }
    assert.ok(endpoint.requestCount <= 6, `${endpoint.requestCount} acquisitions`);
    assert.ok(api.connectionCount <= 2, `${api.connectionCount} connections`);
  });
});

const failing = (when) =>
  new ReadableStream({ [when]: (controller) => controller.error(new Error('broken')) });
const giving = (chunk, more) =>
  new ReadableStream({ pull: (controller) => controller.enqueue(chunk), ...more });

/** Responses whose body is in use or does not come from the platform. */
const BODIES = {
  'was read to its end': async ({ respond }) => {
    const response = respond('body');
    await response.text();
    return response;
  },
  'was read in part': async ({ respond, watched }) => {
    const response = respond(watched());
    const reader = response.body.getReader();
    await reader.read();
    reader.releaseLock();
    return response;
  },
  'is being read': ({ respond, expect }) => {
    const response = respond('body');
    expect(response.text(), 'body');
    return response;
  },
  'is locked, and has no end': ({ respond, watched }) => {
    const response = respond(watched());
    response.body.getReader();
    return response;
  },
  'was cloned': ({ respond, expect }) => {
    const response = respond('body');
    expect(response.clone().text(), 'body');
    return response;
  },
  'is one branch of two': ({ respond, expect }) => {
    const [ours, theirs] = respond('body').body.tee();
    expect(new Response(theirs).text(), 'body');
    return respond(ours);
  },
  'has failed': ({ respond }) => respond(failing('start')),
  'fails while it is read': ({ respond }) => respond(failing('pull')),
  'cannot be cancelled': ({ respond }) =>
    respond(giving(CHUNK, { cancel: () => new Promise(() => {}) })),
  'is null': ({ respond }) => respond(null),
  'is missing': ({ double }) => double(undefined),
  'has a getter that throws': ({ double }) => ({
    ...double(),
    get body() {
      throw new Error('mine');
    },
  }),
  'gives chunks that are not bytes, without end': ({ double }) => double(giving({})),
  'gives empty chunks without end': ({ double }) => double(giving(new Uint8Array())),
  'is a Node stream': ({ double, after }) => {
    const body = Readable.from([Buffer.from('body')]);
    after(() => assert.equal(body.readableEnded, true));
    return double(body);
  },
  'is a Node stream without end': ({ double, after }) => {
    const body = new Readable({ read: () => body.push(CHUNK) });
    after(() => assert.equal(body.destroyed, true));
    return double(body);
  },
  'is a Node stream with another reader': ({ double, after }) => {
    const body = new Readable({ read() {} });
    body.pipe(new PassThrough());
    after(() => assert.equal(body.destroyed, false));
    return double(body);
  },
  'is a Node stream that failed': ({ double }) => {
    const body = new Readable({ read() {} });
    body.on('error', () => {}).destroy(new Error('broken'));
    return double(body);
  },
};

describe('a body that must be drained before the next request', { concurrency: true }, () => {
  /**
   * Creates a double of `fetch` whose first response has such a body, and lists of checks for
   * later.
   */
  function answeringWith(make, status) {
    const checks = [];
    const afterwards = [];
    const init = { status, headers: { location: '/there' } };
    const parts = {
      respond: (body) => new Response(body, init),
      double: (body) => ({ status, headers: new Headers(init.headers), body }),
      expect: (text, expected) => checks.push(async () => assert.equal(await text, expected)),
      after: (check) => afterwards.push(check),
      /** Makes an endless body, and checks that the manager does not cancel it. */
      watched() {
        const cancel = () => checks.push(() => assert.fail('cancelled'));
        return giving(CHUNK, { cancel });
      },
    };
    const calls = [];
    const fetch = async (url) => {
      calls.push(url);
      return calls.length === 1 ? make(parts) : new Response('ok');
    };
    return { afterwards, calls, checks, fetch };
  }

  for (const status of [401, 302]) {
    for (const [what, make] of Object.entries(BODIES)) {
      test(`with status ${status} that ${what} does not prevent the request`, async (t) => {
        const { afterwards, calls, checks, fetch } = answeringWith(make, status);
        const { manager } = await startBoth(t, undefined, { resource: { fetch } });
        assert.equal(await (await manager.fetch('/')).text(), 'ok');
        assert.equal(calls.length, 2);
        for (const check of [...checks, ...afterwards]) await check();
      });
    }
  }

  test('does not hide a token error', async (t) => {
    for (const [what, make] of Object.entries(BODIES)) {
      const { calls, checks, fetch } = answeringWith(make, 401);
      const { endpoint, manager } = await startBoth(t, undefined, { resource: { fetch } });
      await manager.getToken();
      endpoint.answerNext({ status: 400, body: { error: 'invalid_scope' } });
      await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_OAUTH');
      assert.equal(calls.length, 1, what);
      for (const check of checks) await check();
    }
  });
});

describe('fetch after a configuration change', () => {
  const CLIENT = { clientId: 'other-client', clientSecret: 'other-secret' };

  test("never sends one client's token to the other client's API", async (t) => {
    const tokens = (api) => new Set(api.requests.map(bearer));
    const { api, endpoint, manager } = await startBoth(t, () => {
      change();
      return [401];
    });
    const next = await startApi(t);
    const { tokenEndpoint } = endpoint;
    const change = () =>
      manager[reconfigure]({ ...CLIENT, tokenEndpoint, resource: { baseUrl: next.url } });
    endpoint.setAnswer(({ clientId }) => ({
      body: { access_token: `of-${clientId}`, expires_in: 300 },
    }));
    assert.equal(await statusOf(manager.fetch('/')), 401);
    assert.equal(await statusOf(manager.fetch('/')), 200);
    assert.deepEqual(tokens(api), new Set(['of-test-client']));
    assert.deepEqual(tokens(next), new Set(['of-other-client']));
  });
});

test('a call ends even if a test has replaced setTimeout and the body of its 401 stays open', async (t) => {
  const responses = [new Response(new ReadableStream(), { status: 401 }), new Response('ok')];
  const resource = { fetch: async () => responses.shift() };
  const { manager } = await startBoth(t, undefined, { resource });
  await manager.getToken();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  assert.equal(await statusOf(manager.fetch('/')), 200);
});
