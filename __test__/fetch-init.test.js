'use strict';

// How a manager's `fetch` reads its arguments: the members that it finds in `init`, compared with
// the platform's `fetch`, and that it reads each of them once, at the time of the call.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const reconfigure = require('../lib/reconfigure.js');
const { bearer, startApi, startBoth } = require('./support/api-server.js');
const { CLIENT, rejection } = require('./support/manager.js');

const USER = 'user:default/jane';
const hidden = (members, target = {}) => {
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(target, name, { value, configurable: true });
  return target;
};
const MEMBERS = { method: 'POST', headers: { 'x-own': 'a' }, body: 'abc', redirect: 'manual' };

class Init {
  get method() {
    return this.name;
  }
  get headers() {
    return { 'x-own': 'a' };
  }
  get body() {
    return new URLSearchParams({ a: 'b' });
  }
}
class Put extends Init {
  name = 'PUT';
}
/** A class whose constructor takes no length. */
class Bytes extends Uint8Array {
  constructor(hex) {
    super(Buffer.from(hex, 'hex'));
  }
}
class Private extends Init {
  #name = 'PATCH';
  get name() {
    return this.#name;
  }
}

/** Makes an `init` for each call, because a call uses up some bodies. */
const INITS = {
  'a plain object': () => ({ ...MEMBERS }),
  'an object without a prototype': () => Object.assign(Object.create(null), MEMBERS),
  'properties that are not enumerable': () => hidden(MEMBERS),
  'some properties that are not enumerable': () => hidden({ method: 'PUT' }, { body: 'abc' }),
  'properties of the prototype': () => Object.create(MEMBERS),
  'properties of the prototype that are not enumerable': () => Object.create(hidden(MEMBERS)),
  'an own property that hides the prototype': () =>
    Object.create(MEMBERS, { method: { value: 'PUT' }, body: { value: undefined } }),
  'getters that are not enumerable': () =>
    Object.defineProperty({ body: 'abc' }, 'method', { get: () => 'DELETE' }),
  'getters of a class': () => new Put(),
  'getters that read private fields': () => new Private(),
  'a proxy': () => new Proxy(hidden(MEMBERS), { ownKeys: () => Object.keys(MEMBERS) }),
  'a proxy without keys': () => new Proxy({}, { get: (_, name) => MEMBERS[name] }),
  'a function': () => Object.assign(() => {}, MEMBERS),
  'an array': () => Object.assign([], MEMBERS),
  'a Map': () => new Map(Object.entries(MEMBERS)),
  'a Map with properties': () => Object.assign(new Map(), MEMBERS),
  'a Request': ({ url }) => new Request(`${url}/other`, { ...MEMBERS, body: undefined }),
  'a Request with a body': ({ url }) => new Request(`${url}/other`, MEMBERS),
  'a Request that is the prototype': ({ url }) => Object.create(new Request(url, MEMBERS)),
  'a Request with other properties': ({ url }) =>
    Object.defineProperty(new Request(url), 'method', { value: 'PUT' }),
  'a Response': () => new Response('abc', { headers: { 'x-own': 'a' } }),
  Headers: () => new Headers({ method: 'POST' }),
  'objects instead of texts': () => ({ method: new String('PUT'), redirect: ['manual'] }),
  'an aborted signal that is not enumerable': () => hidden({ signal: AbortSignal.abort() }),
  'a text': () => 'POST',
  'a number': () => 1,
  'a symbol': () => Symbol('POST'),
  null: () => null,
  'a getter that throws': () =>
    Object.create({
      get body() {
        throw new TypeError('mine');
      },
    }),
  'an unrelated getter that throws': () =>
    Object.defineProperty({ method: 'PUT' }, 'other', { get: () => assert.fail('read') }),
  'an inherited getter that throws and is not a member': () =>
    Object.create({
      get other() {
        return assert.fail('read');
      },
    }),
  'bytes of a class': () => ({ method: 'POST', body: new Bytes('616263') }),
  'a view of larger elements': () => ({ method: 'POST', body: Uint16Array.of(0x6162, 0x6364) }),
  'a DataView': () => ({
    method: 'POST',
    body: new DataView(new TextEncoder().encode('ab').buffer),
  }),
  'a method that is not valid': () => Object.create({ method: 'a b' }),
  'GET with a body': () => hidden({ body: 'abc' }),
};

describe('fetch finds the members of init that the platform finds', { concurrency: true }, () => {
  /** What the server received, and the status of the response, if the call was fulfilled. */
  const outcome = async (api, fetch, make) => {
    const count = api.requests.length;
    const status = await fetch(`${api.url}/redirected`, make(api)).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      (error) => {
        assert.ok(!(error instanceof assert.AssertionError), error);
        return 'rejected';
      },
    );
    const received = api.requests.slice(count).map(({ headers, ...rest }) => {
      const { authorization, connection, ...others } = headers;
      return { ...rest, headers: others };
    });
    return { status, received };
  };
  for (const [name, make] of Object.entries(INITS)) {
    test(name, async (t) => {
      const { api, manager } = await startBoth(t, ({ url }) =>
        url === '/redirected' ? [302, { location: '/there' }] : 'ok',
      );
      const expected = await outcome(api, fetch, make);
      assert.deepEqual(await outcome(api, manager.fetch, make), expected);
      // With `scope`, `fetch` uses a derived manager.
      const scoped = () => {
        const init = make(api);
        return init !== null && typeof init === 'object' && Object.isExtensible(init)
          ? hidden({ scope: 'a' }, init)
          : init;
      };
      assert.deepEqual(await outcome(api, manager.fetch, scoped), expected);
    });
  }
});

describe("fetch finds its own members of init as it finds the platform's", () => {
  const subject = 'opaque-user-token';
  for (const [what, wrap] of [
    ['in a plain object', (members) => members],
    ['that are not enumerable', (members) => hidden(members)],
    ['in the prototype', (members) => Object.create(members)],
    ['in the prototype that are not enumerable', (members) => Object.create(hidden(members))],
    ['in a proxy', (members) => new Proxy(hidden(members), {})],
    ['in a Request', (members) => hidden(members, new Request('http://127.0.0.1/'))],
    ['in a function', (members) => hidden(members, () => {})],
  ]) {
    test(what, async (t) => {
      const { api, endpoint, manager } = await startBoth(t);
      const last = () => {
        const { grantType, parameters } = endpoint.requests.at(-1);
        return [grantType.split(':').at(-1), parameters.scope, parameters.audience];
      };
      await manager.fetch('/', wrap({ backstageUser: USER, scope: 'a b', audience: ['api'] }));
      assert.equal(api.requests[0].headers['x-backstage-user'], USER);
      assert.deepEqual(last(), ['client_credentials', 'a b', 'api']);
      await manager.fetch('/', wrap({ onBehalfOf: subject, audience: 'api' }));
      assert.deepEqual(last(), ['token-exchange', undefined, 'api']);
      await rejection(manager.fetch('/', wrap({ minValiditySeconds: -1 })), 'ERR_KEYCLOAK_REQUEST');
      await rejection(manager.fetch('/', wrap({ backstageUser: '' })), 'ERR_KEYCLOAK_REQUEST');
      for (const onBehalfOf of [undefined, null, '']) {
        await rejection(manager.fetch('/', wrap({ onBehalfOf })), 'ERR_KEYCLOAK_REQUEST');
      }
      assert.deepEqual([api.requests.length, endpoint.requestCount], [2, 2]);
    });
  }
});

test('fetch and headers find the user in a proxy that only returns values', async (t) => {
  const { endpoint, manager } = await startBoth(t);
  const user = { onBehalfOf: 'opaque-user-token' };
  const proxy = () => new Proxy({}, { get: (_, name) => user[name] });
  for (const call of [() => manager.fetch('/', proxy()), () => manager.headers(proxy())]) {
    await call();
    assert.match(endpoint.requests.at(-1).grantType, /token-exchange$/);
    await manager.invalidateToken();
  }
});

describe('fetch reads its arguments once', { concurrency: true }, () => {
  /** Returns a proxy of an `init` that gives each member only once. */
  const readOnce = (members) => {
    const wasRead = new Set();
    const get = (target, name, receiver) => {
      assert.ok(!wasRead.has(name), `read ${String(name)} again`);
      wasRead.add(name);
      return Reflect.get(target, name, receiver);
    };
    return new Proxy(members, { get });
  };
  /** Returns arguments and a function that changes them as far as the program can. */
  const changeable = (members) => {
    const input = new URL('/agents', members.url);
    const headers = new Headers({ 'x-own': 'first' });
    const target = { ...members.init, headers, backstageUser: USER };
    const change = () => {
      input.pathname = '/changed';
      headers.set('x-own', 'changed');
      Object.assign(target, {
        method: 'DELETE',
        backstageUser: 'user:default/eve',
        body: 'changed',
      });
      if (Array.isArray(target.scope)) target.scope.push('changed');
    };
    return { input, init: readOnce(target), change };
  };
  const seen = ({ method, url, headers, body }) => [method, url, headers['x-own'], body];
  const LOGIN = 'http://127.0.0.2:9/login';

  for (const more of [{}, { scope: ['a'] }, { onBehalfOf: 'opaque-user-token' }]) {
    const name = Object.keys(more)[0] ?? 'neither scope nor user';
    const isCurrent = (request) => !bearer(request).endsWith('-1');

    test(`if it repeats a call after a login page, with ${name}`, async (t) => {
      let change;
      const { api, manager } = await startBoth(t, (request) => {
        change();
        if (isCurrent(request)) return 'ok';
        return [302, { location: request.url === '/start' ? LOGIN : '/start' }];
      });
      const call = changeable({ url: api.url, init: { method: 'HEAD', ...more } });
      change = call.change;
      assert.equal((await manager.fetch(call.input, call.init)).status, 200);
      const first = ['HEAD', '/agents', 'first', ''];
      assert.deepEqual(api.requests.map(seen), [first, ['HEAD', '/start', 'first', ''], first]);
      assert.equal(api.requests[2].headers['x-backstage-user'], USER);
    });

    test(`if it repeats a call after a 401, with ${name}`, async (t) => {
      let change;
      const { api, manager } = await startBoth(t, (request) => {
        change();
        return isCurrent(request) ? 'ok' : [401];
      });
      const call = changeable({ url: api.url, init: { method: 'PUT', body: 'first', ...more } });
      change = call.change;
      assert.equal((await manager.fetch(call.input, call.init)).status, 200);
      const first = ['PUT', '/agents', 'first', 'first'];
      assert.deepEqual(api.requests.map(seen), [first, first]);
    });

    test(`if the configuration changes while it waits for a token, with ${name}`, async (t) => {
      const { api, endpoint, manager } = await startBoth(t);
      const next = await startApi(t);
      endpoint.pause();
      const members = { method: 'PUT', body: 'first', ...more };
      const { init, change } = changeable({ url: api.url, init: members });
      const call = manager.fetch('agents', init);
      await endpoint.waitForRequests(1);
      change();
      const { tokenEndpoint } = endpoint;
      const resource = { baseUrl: `${next.url}/v2`, userHeader: 'x-for' };
      manager[reconfigure]({ ...CLIENT, tokenEndpoint, resource });
      endpoint.resume();
      assert.equal((await call).status, 200);
      assert.equal(api.requests.length, 0);
      assert.deepEqual(next.requests.map(seen), [['PUT', '/v2/agents', 'first', 'first']]);
      const { headers } = next.requests[0];
      assert.deepEqual([headers['x-for'], headers['x-backstage-user']], [USER, undefined]);
      const { grantType, scope } = endpoint.requests.at(-1);
      assert.deepEqual(
        [scope, /exchange$/.test(grantType)],
        [more.scope && 'a', 'onBehalfOf' in more],
      );
    });
  }

  for (const [what, make] of [
    ['a Buffer', () => [Buffer.from('first'), (body) => body.fill('x')]],
    ['a part of a buffer', () => [new Uint8Array(8).subarray(2, 4), (body) => body.fill(1)]],
    ['a DataView', () => [new DataView(new ArrayBuffer(8), 2, 4), (body) => body.setInt8(0, 1)]],
    ['an ArrayBuffer', () => [new ArrayBuffer(8), (body) => new Uint8Array(body).fill(1)]],
    ['URLSearchParams', () => [new URLSearchParams({ a: 'b' }), (body) => body.set('a', 'c')]],
    ['FormData', () => [formOf({ a: 'b' }), (body) => body.set('a', 'c')]],
  ]) {
    test(`if the program changes ${what} after the call, as the platform does`, async (t) => {
      const { api, manager } = await startBoth(t);
      for (const send of [fetch, manager.fetch]) {
        const [body, change] = make();
        const call = send(api.url, { method: 'POST', body });
        change(body);
        await call;
      }
      const [expected, actual] = api.requests.map(({ body }) =>
        body.replace(/-+formdata-\S+/g, ''),
      );
      assert.equal(actual, expected);
    });
  }
});

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', new Blob(['abc'], { type: 'image/png' }), 'a.png');
  return form;
}
