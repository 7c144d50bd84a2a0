'use strict';

// Tokens that are bound to a key (DPoP, RFC 9449): token requests, calls to an API, and errors.
// `oidc-provider.test.js` and `real-keycloak/dpop.test.js` test this with other servers.

const assert = require('node:assert/strict');
const { generateKeyPairSync } = require('node:crypto');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('..');
const { registry } = require('../lib/backstage/registry.js');
const reconfigure = require('../lib/reconfigure.js');
const { startDpopApi, verifiedProof } = require('./support/dpop-api.js');
const { jwkOf } = require('./support/jwk.js');
const { CLIENT, openManager, rejection, start, startEndpoint } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

const generated = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const pem = (algorithm) => generated[algorithm].privateKey.export({ type: 'pkcs8', format: 'pem' });
const jwk = (algorithm) => jwkOf(generated[algorithm].privateKey);

/** Starts an endpoint and an API that both require proofs, and a manager for them. */
async function startAll(t, { options, endpointOptions, answer } = {}) {
  const api = await startDpopApi(t, answer);
  const resource = { baseUrl: api.url };
  const parts = await start(
    t,
    { dpop: true, resource, ...options },
    { dpop: 'required', ...endpointOptions },
  );
  return { api, ...parts };
}

describe('a token request', { concurrency: true }, () => {
  for (const [name, dpopKey, alg] of [
    ['a generated key', undefined, 'ES256'],
    ['an RSA key', pem('RS256'), 'RS256'],
    ['a JSON Web Key that names PS256', { ...jwk('RS256'), alg: 'PS256' }, 'PS256'],
    ['a P-256 key', JSON.stringify(jwk('ES256')), 'ES256'],
    ['a P-384 key', pem('ES384'), 'ES384'],
    ['a P-384 JSON Web Key', jwk('ES384'), 'ES384'],
    ['an Ed25519 key', pem('EdDSA'), 'EdDSA'],
  ]) {
    test(`with ${name} binds the token to that key, and ${alg} signs the proof`, async (t) => {
      const { endpoint, manager } = await start(t, { dpop: true, dpopKey }, { dpop: 'required' });
      const { token, tokenType } = await manager.getAccessToken();
      assert.equal(tokenType, 'DPoP');
      const [{ dpop, headers }] = endpoint.requests;
      const { claims, thumbprint } = await verifiedProof(headers.dpop);
      assert.equal(dpop.alg, alg);
      assert.deepEqual([claims.htm, claims.htu], ['POST', endpoint.tokenEndpoint]);
      const { cnf } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
      assert.equal(cnf.jkt, thumbprint);
      assert.equal(manager.snapshot().dpopThumbprint, thumbprint);
    });
  }

  test("has the server's last nonce, and a changed nonce does not count as a retry", async (t) => {
    const nonces = { dpopNonce: 'n-1' };
    const { endpoint, manager } = await start(t, { dpop: true }, nonces);
    await manager.getToken();
    await manager.getToken({ forceRefresh: true });
    endpoint.setDpopNonce('n-2');
    await manager.getToken({ forceRefresh: true });
    const seen = endpoint.requests.map(({ status, dpop }) => [status, dpop.claims.nonce]);
    assert.deepEqual(seen, [
      [400, undefined],
      [200, 'n-1'],
      [200, 'n-1'],
      [400, 'n-1'],
      [200, 'n-2'],
    ]);
    assert.equal(new Set(endpoint.requests.map(({ dpop }) => dpop.claims.jti)).size, 5);
    assert.equal(manager.snapshot().counters.retries, 0);
  });

  test('has a new proof after a lost connection and after a server error', async (t) => {
    const { endpoint, manager } = await start(t, { dpop: true }, { dpop: 'required' });
    await manager.getToken();
    endpoint.answerNext({ fault: 'reset' }, { status: 503 });
    await manager.getToken({ forceRefresh: true });
    assert.equal(new Set(endpoint.requests.map(({ dpop }) => dpop.claims.jti)).size, 4);
  });

  test('through tokenFetch and discovery names its URL in the proof', async (t) => {
    const endpoint = await startEndpoint(t, { dpop: 'required', dpopNonce: 'n-1' });
    const { issuer } = endpoint;
    const manager = openManager(t, { issuer, dpop: true, tokenFetch: true });
    assert.equal((await manager.getAccessToken()).tokenType, 'DPoP');
    assert.deepEqual(
      endpoint.requests.map(({ status, dpop }) => [status, dpop.claims.htu]),
      [
        [400, endpoint.tokenEndpoint],
        [200, endpoint.tokenEndpoint],
      ],
    );
  });

  test('names its URL in the proof without the query', async (t) => {
    const { endpoint, open } = await start(t, { dpop: true }, { dpop: 'required' });
    await open({ tokenEndpoint: `${endpoint.tokenEndpoint}?a=b` }).getToken();
    assert.equal(endpoint.requests[0].dpop.claims.htu, endpoint.tokenEndpoint);
  });

  test('of a manager without dpop has no proof', async (t) => {
    const { endpoint, manager } = await start(t);
    assert.equal((await manager.getAccessToken()).tokenType, 'Bearer');
    assert.equal(endpoint.requests[0].headers.dpop, undefined);
    assert.equal(manager.snapshot().dpopThumbprint, undefined);
  });
});

describe('the advice', { concurrency: true }, () => {
  const DPOP = { dpop: true };
  const refused = (error_description, error = 'invalid_request') => ({
    status: 400,
    body: { error, error_description },
  });
  const granted = (token_type) => ({ body: { access_token: 't', expires_in: 300, token_type } });
  const signature =
    'DPoP verification failure: org.keycloak.exceptions.TokenSignatureInvalidException: Invalid ' +
    'token signature';
  // [the answer, the options, the code, the advice]; the texts are Keycloak's.
  for (const [name, answer, options, code, advice] of [
    ['no proof', refused('DPoP proof is missing'), {}, 'OAUTH', /"test-client" .* set dpop: true/],
    ['a lost proof', refused('DPoP proof is missing'), DPOP, 'OAUTH', /did not reach the server/],
    [
      'a broken proof',
      refused('DPoP header verification failure'),
      DPOP,
      'OAUTH',
      /altered or twice/,
    ],
    ['a broken signature', refused(signature), DPOP, 'OAUTH', /altered or twice/],
    ['an algorithm', refused('Unsupported DPoP algorithm: RS256'), DPOP, 'OAUTH', /set dpopKey/],
    ['another URL', refused('DPoP HTTP URL mismatch'), DPOP, 'OAUTH', /proxy changes the host/],
    [
      'a malformed URL',
      refused('Malformed HTTP URL in DPoP proof'),
      DPOP,
      'OAUTH',
      /proxy changes/,
    ],
    [
      'another method',
      refused('DPoP HTTP method mismatch'),
      DPOP,
      'OAUTH',
      /method of the request/,
    ],
    [
      'the clock',
      refused('DPoP proof is not active'),
      DPOP,
      'OAUTH',
      /this machine's clock is more than 24 s behind/,
    ],
    ['a replay', refused('DPoP proof has already been used'), DPOP, 'OAUTH', /server twice/],
    ['claims', refused('DPoP mandatory claims are missing'), DPOP, 'OAUTH', /check both clocks/],
    [
      'another key',
      refused("DPoP confirmation doesn't match DPoP proof"),
      DPOP,
      'OAUTH',
      /bound to another key/,
    ],
    ['RFC 9449', refused('no good', 'invalid_dpop_proof'), DPOP, 'OAUTH', /check both clocks/],
    ['a nonce', refused('', 'use_dpop_nonce'), DPOP, 'OAUTH', /header DPoP-Nonce/],
    [
      'a clock that is 25 seconds behind',
      { status: 500, body: { error: 'unknown_error' } },
      { ...DPOP, requestTimeoutMs: 5_000 },
      'HTTP',
      /exactly 25 s behind/,
    ],
    ['Bearer', granted('Bearer'), DPOP, 'PROTOCOL', /ignored the DPoP proof.* before 26\.4/],
    ['no type', granted(undefined), DPOP, 'PROTOCOL', /dpop\.bound\.access\.tokens/],
    ['DPoP', granted('DPoP'), {}, 'PROTOCOL', /set dpop: true.*dpop\.bound\.access\.tokens/],
  ]) {
    test(`for ${name} names the remedy`, async (t) => {
      const { endpoint, open } = await start(t, options);
      endpoint.setAnswer(answer);
      const error = await rejection(open().getToken(), `ERR_KEYCLOAK_${code}`);
      assert.match(error.message, advice);
      const description = answer.body?.error_description || undefined;
      assert.equal(error.oauthErrorDescription, description, 'the text of the server is shown');
    });
  }
});

describe('fetch', { concurrency: true }, () => {
  test('proves possession of the key for every request, even after a redirect or with a new token', async (t) => {
    const { api, endpoint, manager } = await startAll(t, {
      answer: ({ url, method }) =>
        url.startsWith('/moved') ? [307, { location: '/target?x=y' }, ''] : `done by ${method}`,
    });
    const form = new URLSearchParams({ a: 'b' });
    for (const [input, init] of [
      ['agents?q=1'],
      [new URL('/a%20b/', api.url)],
      [new Request(`${api.url}/request`)],
      ['post', { method: 'post', body: form }],
      ['patch', { method: 'PATCH', body: '{}' }],
      ['moved', { method: 'PUT', body: 'again' }],
      ['spoofed', { headers: { authorization: 'Bearer x', dpop: 'x' } }],
    ]) {
      const response = await manager.fetch(input, init);
      assert.equal(response.status, 200, `${input}: ${api.reasons}`);
    }
    const token = await manager.getToken();
    api.refused.add(token);
    assert.equal((await manager.fetch('agents')).status, 200);
    assert.notEqual(await manager.getToken(), token);
    assert.deepEqual(api.reasons, ['invalid_token']);
    assert.equal(endpoint.requestCount, 2);
  });

  test('sends a request once more with a nonce, even if the API then refuses the token', async (t) => {
    const { api, endpoint, manager } = await startAll(t);
    const statuses = async (...args) => [
      (await manager.fetch(...args)).status,
      api.reasons.splice(0),
    ];
    const demand = 'use_dpop_nonce';
    api.nonce = 'n-1';
    assert.deepEqual(await statuses('a', { method: 'POST', body: 'b' }), [200, [demand]]);
    assert.deepEqual(await statuses('a'), [200, []], 'the nonce is remembered');
    api.nonce = 'n-2';
    api.refused.add(await manager.getToken());
    assert.deepEqual(await statuses('a'), [200, [demand, 'invalid_token']]);
    api.nonce = 'n-3';
    const stream = () => new Blob(['x']).stream();
    const init = { method: 'POST', body: stream(), duplex: 'half' };
    assert.deepEqual(await statuses('a', init), [401, [demand]], 'a stream cannot be sent again');
    assert.deepEqual(await statuses('a'), [200, []]);
    assert.equal(endpoint.requestCount, 2, 'only the refusal of the token dropped it');
  });

  test('returns a 401 that demands another nonce each time, and keeps the token', async (t) => {
    const { api, endpoint, manager } = await startAll(t);
    Object.defineProperty(api, 'nonce', { get: () => `n-${performance.now()}` });
    assert.equal((await manager.fetch('a')).status, 401);
    assert.deepEqual(api.reasons, ['use_dpop_nonce', 'use_dpop_nonce']);
    assert.equal(endpoint.requestCount, 1);
  });

  test('sends a held bearer token without a proof until a bound token replaces it', async (t) => {
    const endpoint = await startEndpoint(t);
    const sent = [];
    const fetch = async (_, { headers }) => {
      sent.push([headers.get('authorization').split(' ')[0], headers.has('dpop')]);
      return new Response('ok');
    };
    const options = {
      ...CLIENT,
      tokenEndpoint: endpoint.tokenEndpoint,
      resource: { baseUrl: 'https://api.example', fetch },
    };
    const manager = openManager(t, options);
    await manager.fetch('a');
    for (const dpop of [true, false]) {
      endpoint.pause();
      manager[reconfigure]({ ...options, dpop });
      await manager.fetch('a');
      endpoint.resume();
      const { token } = await manager.getAccessToken({ forceRefresh: true });
      assert.equal('cnf' in JSON.parse(Buffer.from(token.split('.')[1], 'base64url')), dpop);
      await manager.fetch('a');
    }
    assert.deepEqual(sent, [
      ['Bearer', false],
      ['Bearer', false],
      ['DPoP', true],
      ['DPoP', true],
      ['Bearer', false],
    ]);
  });
});

describe('the API of', { concurrency: true }, () => {
  for (const [name, open] of [
    ['withResource', (manager, resource) => manager.withResource(resource)],
    [
      'a view of a shared manager',
      (_, resource, options) => registry().open({ ...options, resource }),
    ],
    [
      'another API of such a view',
      (_, resource, options) => registry().open(options).withResource(resource),
    ],
  ]) {
    test(`${name} gets proofs`, async (t) => {
      const { endpoint, manager } = await start(t, {}, { dpop: 'required' });
      const api = await startDpopApi(t);
      const options = { ...CLIENT, tokenEndpoint: endpoint.tokenEndpoint, dpop: true };
      const resource = { baseUrl: `${api.url}/v1` };
      const derived = open(openManager(t, options), resource, options);
      t.after(() => derived.close?.());
      assert.equal((await derived.fetch('a')).status, 200, `${api.reasons}`);
      const headers = await derived.headers({ url: 'b', method: 'GET' });
      assert.equal((await fetch(`${api.url}/v1/b`, { headers })).status, 200, `${api.reasons}`);
      const token = await derived.getToken();
      const proof = derived.dpopProof({ method: 'GET', url: `${api.url}/c`, token });
      const own = { authorization: `DPoP ${token}`, dpop: proof };
      assert.equal((await fetch(`${api.url}/c`, { headers: own })).status, 200, `${api.reasons}`);
      const elsewhere = derived.headers({ url: 'https://evil.example/', method: 'GET' });
      await rejection(elsewhere, 'ERR_KEYCLOAK_REQUEST');
      await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    });
  }
});

test('fetch makes one native call for each proof', async (t) => {
  const { manager } = await startAll(t);
  await manager.fetch('a');
  const calls = nativeCalls(t);
  await manager.fetch('a');
  assert.deepEqual(calls, ['dpopProof']);
});

describe('headers()', { concurrency: true }, () => {
  const baseUrl = 'https://api.example/v1';
  const USER = { backstageUser: 'user:default/jane' };

  test('returns a bearer token and the user', async (t) => {
    const { manager, open } = await start(t, { resource: { baseUrl, userHeader: 'X-User' } });
    const token = await manager.getToken();
    const Authorization = `Bearer ${await manager.getToken()}`;
    assert.ok(token.length > 0);
    assert.deepEqual(await manager.headers(), { Authorization });
    assert.deepEqual(await manager.headers({ url: 'agents', ...USER }), {
      Authorization,
      'X-User': USER.backstageUser,
    });
    const { Authorization: own, ...rest } = await open({ resource: undefined }).headers({
      url: 'wss://elsewhere.example/socket',
      ...USER,
    });
    assert.match(own, /^Bearer ey/);
    assert.deepEqual(rest, { 'X-Backstage-User': USER.backstageUser });
  });

  test('returns a bound token with a proof for the handshake of a WebSocket', async (t) => {
    const { manager } = await start(t, { dpop: true, resource: { baseUrl } });
    for (const [url, method, htu] of [
      ['wss://api.example:443/socket?a=b', 'GET', 'https://api.example/socket'],
      ['agents', 'get', 'https://api.example/v1/agents'],
      [new URL('https://api.example/pkg.Service/Method'), 'POST', undefined],
    ]) {
      const { Authorization, DPoP, ...rest } = await manager.headers({ url, method });
      assert.equal(Authorization, `DPoP ${await manager.getToken()}`);
      const { claims } = await verifiedProof(DPoP);
      assert.deepEqual([claims.htm, claims.htu], [method.toUpperCase(), htu ?? url.href]);
      assert.deepEqual(rest, {});
    }
  });

  test('returns the value that it checked, even if a getter returns another value later', async (t) => {
    const { manager } = await start(t, { resource: { baseUrl } });
    const values = [USER.backstageUser, 'a\r\nb', 'a\r\nb'];
    const options = {
      get backstageUser() {
        return values.shift();
      },
    };
    const headers = await manager.headers(options);
    assert.equal(headers['X-Backstage-User'], USER.backstageUser);
  });

  test('rejects invalid arguments and another origin', async (t) => {
    const { endpoint, manager } = await start(t, { dpop: true, resource: { baseUrl } });
    const good = { url: 'a', method: 'GET' };
    for (const [options, message] of [
      [undefined, /url and method are required/],
      [{ url: 'a' }, /url and method are required/],
      [{ method: 'GET' }, /url and method are required/],
      [null, /expected an object/],
      [{ ...good, body: 'x' }, /"body": no such option/],
      [{ ...good, method: 'GET /' }, /^method: /],
      [{ ...good, url: 'https://evil.example/' }, /not the origin of resource.baseUrl/],
      [{ ...good, url: 'wss://api.example:444/' }, /not the origin of resource.baseUrl/],
      [{ ...good, url: 'ws://api.example/' }, /not the origin of resource.baseUrl/],
      [{ ...good, url: 'https://u:p@api.example/' }, /without a user name/],
      [{ ...good, url: 'file:///etc' }, /^url: /],
      [{ ...good, url: 7 }, /^url: /],
      [{ ...good, backstageUser: 'é' }, /^backstageUser: /],
    ]) {
      const error = await rejection(manager.headers(options), 'ERR_KEYCLOAK_REQUEST');
      assert.match(error.message, message);
    }
    assert.equal(endpoint.requestCount, 0);
  });
});

describe('dpopProof', { concurrency: true }, () => {
  test('proves possession of the key for a request that other code sends', async (t) => {
    const { api, manager } = await startAll(t);
    const token = await manager.getToken();
    const send = async (nonce) => {
      const proof = manager.dpopProof({ method: 'GET', url: `${api.url}/x?y=z`, token, nonce });
      const headers = { authorization: `DPoP ${token}`, dpop: proof };
      return fetch(`${api.url}/x?y=z`, { headers });
    };
    assert.equal((await send()).status, 200, `${api.reasons}`);
    api.nonce = 'n-1';
    const refused = await send();
    assert.equal(refused.status, 401);
    assert.equal((await send(refused.headers.get('dpop-nonce'))).status, 200);
  });

  test('throws for invalid arguments, without dpop and after close()', async (t) => {
    const { manager, open } = await start(t, { dpop: true });
    const good = { method: 'GET', url: 'https://api.example/', token: 'a.b.c' };
    assert.equal(manager.dpopProof(good).split('.').length, 3);
    for (const [change, message] of [
      [{ method: undefined }, /^method: /],
      [{ method: '' }, /^method: /],
      [{ url: '/relative' }, /^url: expected an absolute/],
      [{ url: 'ftp://api.example/' }, /^url: /],
      [{ token: undefined }, /^token: /],
      [{ token: 'a b' }, /^token: /],
      [{ nonce: 'a b' }, /^nonce: /],
      [{ htm: 'GET' }, /"htm": no such option/],
    ]) {
      const expected = { code: 'ERR_KEYCLOAK_REQUEST', message };
      assert.throws(() => manager.dpopProof({ ...good, ...change }), expected);
    }
    assert.throws(() => manager.dpopProof(), { code: 'ERR_KEYCLOAK_REQUEST' });
    const off = open({ dpop: false });
    assert.throws(() => off.dpopProof(good), {
      code: 'ERR_KEYCLOAK_CONFIG',
      message: /dpop: true/,
    });
    await manager.close();
    assert.throws(() => manager.dpopProof(good), { code: 'ERR_KEYCLOAK_CLOSED' });
  });
});

describe('the manager', () => {
  const make = (options) => {
    const tokenEndpoint = 'https://sso.example/token';
    return new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, ...options });
  };
  const public_ = generated.ES256.publicKey.export({ type: 'spki', format: 'pem' });

  for (const [name, options, message] of [
    ['a key without dpop', { dpopKey: pem('ES256') }, /dpopKey: this option requires dpop: true/],
    ['a key with dpop: false', { dpop: false, dpopKey: pem('ES256') }, /requires dpop: true/],
    ['a public key', { dpop: true, dpopKey: public_ }, /dpopKey: it contains a public key/],
    ['no key', { dpop: true, dpopKey: 'canary' }, /dpopKey: it contains no PEM private key/],
    ['a number', { dpop: true, dpopKey: 7 }, /dpopKey: expected a PEM private key/],
    ['a string as dpop', { dpop: 'yes' }, /dpop: expected a boolean/],
    ['a DPoP header in the option headers', { headers: { DPoP: 'x' } }, /"DPoP" is reserved/],
  ]) {
    test(`refuses ${name}`, () => {
      assert.throws(() => make(options), { code: 'ERR_KEYCLOAK_CONFIG', message });
    });
  }

  test('keeps the key out of errors, log lines, snapshots and inspections', async (t) => {
    const { endpoint, manager, lines } = await start(t, { dpop: true, dpopKey: jwk('ES256') });
    const token = await manager.getToken();
    const proof = manager.dpopProof({ method: 'GET', url: 'https://api.example/', token });
    const error_description = `${jwk('ES256').d} ${endpoint.requests[0].headers.dpop}`;
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_dpop_proof', error_description } });
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    const shown = inspect([error, error.message, manager, manager.snapshot(), lines, proof], {
      depth: Number.POSITIVE_INFINITY,
      showHidden: true,
    });
    assert.ok(!shown.includes(jwk('ES256').d), shown);
    assert.ok(!shown.includes(endpoint.requests[0].headers.dpop.split('.')[2]), shown);
  });
});
