'use strict';

// The doctor on broken set-ups, over real sockets, proxies and TLS. The first trouble that it
// reports must be the cause.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { after, before, describe, test } = require('node:test');
const { Redactor } = require('../../lib/cli/redactor.js');
const {
  steps: [api],
} = require('../../lib/cli/steps/api.js');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { AUTHORITY, EXPIRED, LEAF, makeCertificates } = require('../../tools/certificates.js');
const { startApi } = require('../support/api-server.js');
const { makeFile } = require('../support/files.js');
const { listen } = require('../support/listen.js');
const { startEndpoint, tokenJson } = require('../support/manager.js');
const { CLIENT_ID, SECRET, runDoctor, startFullListener, troubles } = require('./support.js');

/** A step has 3 s; the rest is for a busy machine. */
const STEP_MS = 3_400;
const TOKEN_PATH = '/realms/test/protocol/openid-connect/token';
const FUTURE = { from: '20480101000000Z', until: '20491231000000Z' };

const certificates = makeCertificates();
const { ca, issue } = certificates;
const other = makeCertificates();
const started = [];
let plain;
let secure;

before(async () => {
  const { key, cert } = certificates.server;
  plain = await startFakeTokenEndpoint();
  secure = await startFakeTokenEndpoint({ tls: { key, cert } });
  started.push(
    () => plain.close(),
    () => secure.close(),
  );
});
after(async () => {
  for (const stop of started) await stop();
});

const to = (tokenEndpoint, more) => ({ 'token-endpoint': tokenEndpoint, ...more });
const at = (origin, more) => to(`${origin}${TOKEN_PATH}`, more);

/** A port without a listener. */
async function deadPort() {
  const { port, stop } = await listen(undefined, net.createServer());
  await stop();
  return port;
}

/** Starts a TLS server with this certificate. Returns the flags for it. */
async function serving(t, certificate, settings = {}) {
  const { key, cert } = certificate;
  const { port } = await startApi(t, () => [404, {}, 'no'], { tls: { key, cert, ...settings } });
  return at(`https://localhost:${port}`, { 'ca-file': ca.certFile });
}

async function refusingProxy(t, status) {
  const server = http.createServer().on('connect', (_request, socket) => {
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  });
  return (await listen(t, server)).url;
}

const through = (proxy, more) => ({
  flags: at('https://sso.nowhere.invalid', more),
  env: { HTTPS_PROXY: proxy },
});

/**
 * The name; a function that returns the set-up (`{ flags, env }`, or only the flags); and the step,
 * text and advice of the first trouble, with its state if it is a warning.
 */
const NETWORK = [
  [
    'a host name that does not exist',
    () => at('https://sso.nowhere.invalid'),
    [
      'name look-up',
      /sso\.nowhere\.invalid: .+ \((ENOTFOUND|EAI_AGAIN)\)/,
      /host in tokenEndpoint/,
    ],
  ],
  [
    'a host name that does not exist, in issuer',
    () => ({ issuer: 'https://sso.nowhere.invalid/realms/test' }),
    ['name look-up', /\((ENOTFOUND|EAI_AGAIN)\)/, /host in issuer.+set HTTPS_PROXY/],
  ],
  [
    'a port without a server',
    async () => at(`http://127.0.0.1:${await deadPort()}`),
    ['connection', /refused \(ECONNREFUSED\)/, /check that the server or proxy is running/],
  ],
  [
    'a network that drops packets',
    async (t) => at(`http://127.0.0.1:${await startFullListener(t)}`),
    ['connection', /no response within 3 s/, /firewalls and network policies/],
  ],
  [
    'a server that closes each connection',
    async (t) => {
      const server = net.createServer((socket) => socket.destroy());
      return to(`${(await listen(t, server)).url}/token`);
    },
    ['token request', /ECONNRESET|connection was/, /curl -v/],
  ],
  [
    'a server that never answers',
    async (t) => to(`${(await listen(t, net.createServer())).url}/token`),
    ['token request', /within 2800 ms \(.*waiting for the response\)/, /network policies/],
  ],
  [
    'a proxy whose name does not exist',
    () => through('http://proxy.nowhere.invalid:3128'),
    [
      'name look-up',
      /proxy\.nowhere\.invalid \(the proxy from HTTPS_PROXY\)/,
      /host in HTTPS_PROXY/,
    ],
  ],
  [
    'a proxy that does not run',
    async () => through(`http://127.0.0.1:${await deadPort()}`),
    [
      'connection',
      /\(the proxy from HTTPS_PROXY\): .+\(ECONNREFUSED\)/,
      /that the server or proxy is running/,
    ],
  ],
  [
    'a proxy that requires a password',
    async (t) => through(await refusingProxy(t, '407 Proxy Authentication Required')),
    ['proxy', /refused to open a tunnel \(status 407\)/, /user name and password in HTTPS_PROXY/],
  ],
  [
    'a proxy that forbids the host',
    async (t) => through(await refusingProxy(t, '403 Forbidden')),
    ['proxy', /refused to open a tunnel \(status 403\)/, /allow sso\.nowhere\.invalid/],
  ],
  [
    'a SOCKS proxy variable for an http proxy',
    async (t) => through((await refusingProxy(t, '200 OK')).replace('http', 'socks5')),
    ['proxy', /socks5:.+: (the|no response)/, /.*HTTPS_PROXY|.*NO_PROXY/],
  ],
  [
    'a proxy variable with another scheme',
    () => through('ftp://proxy.example:21'),
    ['proxy', /HTTPS_PROXY is not the URL of an http/, /http:\/\/proxy\.example:3128/],
  ],
];

const TLS = [
  [
    'plain http to another machine',
    () => at('http://sso.nowhere.invalid'),
    ['options', /plain http/, /correct the option/, 'warning'],
  ],
  [
    'an unknown authority',
    () => to(secure.tokenEndpoint),
    ['TLS', /the authority CN=ca, which issued CN=server, is not trusted/, /set caFile to/],
  ],
  [
    'an authority that only the system trusts',
    () => ({ flags: to(secure.tokenEndpoint), env: { SSL_CERT_FILE: ca.certFile } }),
    [
      'TLS',
      /Node does not trust the authority CN=ca, /,
      /ca\.pem contains this authority; set the backend's environment variable NODE_EXTRA_CA_CERTS/,
    ],
  ],
  [
    'another authority in caFile',
    () => to(secure.tokenEndpoint, { 'ca-file': other.server.certFile }),
    ['TLS', /the authority CN=ca.* is not trusted/, /set caFile to/],
  ],
  [
    'a self-signed certificate',
    (t) => serving(t, issue({ extensions: LEAF, subject: '/CN=alone' })),
    ['TLS', /CN=alone, is self-signed and not trusted/, /set caFile .+SHA-256 [0-9A-F:]{95}/],
  ],
  [
    'an untrusted root that the server sends',
    (t) => {
      const own = other.issue({ by: other.ca, extensions: LEAF });
      return serving(t, { ...own, cert: own.cert + other.ca.cert });
    },
    ['TLS', /the authority CN=ca is not trusted/, /certificate of this authority \(SHA-256/],
  ],
  [
    'an intermediate that the server does not send',
    (t) => {
      const middle = issue({ by: ca, extensions: AUTHORITY, subject: '/CN=middle' });
      return serving(t, issue({ by: middle, subject: '/CN=below' }));
    },
    [
      'TLS',
      /the authority CN=middle, which issued CN=below/,
      /server must also send the authority's certificate/,
    ],
  ],
  [
    'a certificate for another name',
    (t) => serving(t, certificates.wrongName),
    ['TLS', /is for DNS:elsewhere\.example, not for localhost/, /use a host name from the certif/],
  ],
  [
    'a certificate that has expired',
    (t) => serving(t, certificates.expired),
    ['TLS', /CN=expired expired on 2021-01-01/, /renew the server's certificate/],
  ],
  [
    'a certificate that is not valid yet',
    (t) => serving(t, issue({ by: ca, validity: FUTURE, subject: '/CN=early' })),
    ['TLS', /CN=early is not valid before 2048-01-01/, /this machine's clock/],
  ],
  [
    'an authority that has expired',
    async (t) => {
      const root = issue({ validity: EXPIRED, subject: '/CN=old-root' });
      const flags = await serving(t, issue({ by: root }));
      return { ...flags, 'ca-file': root.certFile };
    },
    ['TLS', /the authority CN=old-root expired on 2021-01-01/, /replace it in caFile/],
  ],
  [
    'https to a port without TLS',
    () => at(plain.url.replace('http:', 'https:')),
    ['TLS', /does not speak TLS on this port/, /use the https port/],
  ],
  [
    'TLS 1.1 only',
    (t) =>
      serving(t, certificates.server, {
        ...{ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
      }),
    ['TLS', /neither TLS 1\.2 nor TLS 1\.3/, /turn on TLS 1\.2/],
  ],
  [
    'a server that closes the connection during the handshake',
    async (t) => {
      const server = net.createServer((socket) => socket.once('data', () => socket.destroy()));
      return at((await listen(t, server)).url.replace('http:', 'https:'));
    },
    ['TLS', /closed the connection during the handshake/, /this is the https port/],
  ],
  [
    'a certificate that only the core refuses',
    async (t) => {
      const { key, cert } = issue({
        ...{ by: ca, subject: '/CN=localhost', extensions: 'basicConstraints=CA:FALSE' },
      });
      const { port } = await startApi(t, () => tokenJson(), { tls: { key, cert } });
      return to(`https://localhost:${port}/token`, { 'ca-file': ca.certFile });
    },
    [
      'token request',
      /no subjectAltName/,
      /^set tokenFetch: true and put .+, because the same request succeeds/,
    ],
  ],
  [
    'a client certificate that is missing',
    (t) =>
      serving(t, certificates.server, {
        ...{ requestCert: true, rejectUnauthorized: true, ca: ca.cert, maxVersion: 'TLSv1.2' },
      }),
    ['TLS', /client certificate/, /clientCertificateFile|cipher|ECDHE/],
  ],
  [
    'a caFile that does not exist',
    () => to(secure.tokenEndpoint, { 'ca-file': '/nowhere/ca.pem' }),
    ['TLS', /caFile "\/nowhere\/ca\.pem" is unreadable \(ENOENT\)/, /check the mount/],
  ],
  [
    'a caFile without a certificate',
    (t) => to(secure.tokenEndpoint, { 'ca-file': makeFile(t, 'nothing') }),
    ['TLS', /contains no PEM certificate/, /put the PEM certificate/],
  ],
  [
    'verification that is turned off, with an unknown authority',
    () => to(secure.tokenEndpoint, { 'skip-tls-verify': true }),
    ['options', /skipTlsVerify turns off/, /remove skipTlsVerify once the step "TLS"/, 'warning'],
  ],
];

/** An endpoint that refuses every token request. */
const refusing = (status, error, description) =>
  answering({ status, body: { error, error_description: description } });

const answering = (answer) => async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.setAnswer(answer);
  return to(endpoint.tokenEndpoint);
};

/** A server that answers requests for the discovery document. */
const documenting = (document) => async (t) => {
  const api = await startApi(t, () => JSON.stringify(document(api.url)));
  return { issuer: `${api.url}/realms/test` };
};
const documentOf = (url, more) => ({
  issuer: `${url}/realms/test`,
  token_endpoint: `${url}${TOKEN_PATH}`,
  ...more,
});

const KEYCLOAK = [
  [
    'a wrong secret',
    () => ({ flags: to(plain.tokenEndpoint), env: { KEYCLOAK_CLIENT_SECRET: 'wrong-secret' } }),
    ['token request', /status 401 unauthorized_client/, /copy the secret from the client's/],
  ],
  [
    'whitespace in the secret',
    (t) => to(plain.tokenEndpoint, { 'client-secret-file': makeFile(t, `${SECRET} \n`) }),
    ['credential', /has whitespace at its end/, /remove the whitespace/, 'warning'],
  ],
  [
    'a secret with \\n at its end',
    () => ({ flags: to(plain.tokenEndpoint), env: { KEYCLOAK_CLIENT_SECRET: `${SECRET}\\n` } }),
    ['credential', /ends with the characters \\n/, /remove these characters/, 'warning'],
  ],
  [
    'a secret file that does not exist',
    () => to(plain.tokenEndpoint, { 'client-secret-file': '/nowhere/secret' }),
    [
      'credential',
      /clientSecretFile "\/nowhere\/secret" is unreadable \(ENOENT\)/,
      /check the mount/,
    ],
  ],
  [
    'a secret file that every user can change',
    (t) => {
      const file = makeFile(t, SECRET);
      fs.chmodSync(file, 0o666);
      return to(plain.tokenEndpoint, { 'client-secret-file': file });
    },
    ['credential', /can change the file/, /restrict the permissions/, 'warning'],
  ],
  [
    'an assertion that has expired',
    (t) => {
      const jwt = plain.issueToken({ exp: 1_600_000_000 });
      return to(`${plain.url}/token`, { 'client-assertion-file': makeFile(t, jwt) });
    },
    ['credential', /expired at 2020-09-13T12:26:40/, /program that renews the file/],
  ],
  [
    'a key with \\n in place of line breaks',
    (t) => {
      const key = certificates.server.key.trim().replaceAll('\n', '\\n');
      return to(`${plain.url}/token`, { 'private-key-file': makeFile(t, key) });
    },
    [
      'credential',
      /characters \\n in place of line breaks/,
      /replace these characters with line breaks/,
    ],
  ],
  [
    'a certificate with the key of another certificate',
    () =>
      to(`${secure.url}/token`, {
        'ca-file': ca.certFile,
        'client-certificate-file': certificates.client('one').certFile,
        'client-key-file': certificates.client('two').keyFile,
      }),
    ['credential', /does not belong to the client key/, /use the key of this certificate/],
  ],
  [
    'an unknown client',
    () => to(plain.tokenEndpoint, { 'client-id': 'nobody-knows-it' }),
    ['token request', /status 401 invalid_client/, /check clientId and the realm/],
  ],
  [
    'a realm that does not exist',
    () => to(plain.tokenEndpoint.replace('/test/', '/absent/')),
    ['discovery', /the realm does not exist \(status 404\)/, /correct the realm in the URL/],
  ],
  [
    'a realm that is disabled',
    refusing(403, 'access_denied', 'Realm not enabled'),
    ['token request', /the realm is disabled/, /enable the realm/],
  ],
  [
    'a service account that is off',
    refusing(401, 'unauthorized_client', 'Client not enabled to retrieve service account'),
    ['token request', /service account of client "test-client" is off/, /Service accounts roles/],
  ],
  [
    'a public client',
    refusing(401, 'unauthorized_client', 'Public client not allowed to retrieve service account'),
    ['token request', /is public/, /"Settings", turn on "Client authentication"/],
  ],
  [
    'another authentication method for the secret',
    refusing(401, 'unauthorized_client', "Invalid method used to get client secret. …'basic'"),
    ['token request', /requires another authentication method/, /set clientAuthentication/],
  ],
  [
    'a client that requires a signed JWT',
    refusing(400, 'invalid_client', 'Parameter client_assertion_type is missing'),
    ['token request', /signed JWT/, /use privateKey or client_secret_jwt/],
  ],
  [
    'a scope that is unknown',
    refusing(400, 'invalid_scope', 'Invalid scopes: api.consol'),
    ['token request', /invalid_scope.+scope is unknown/, /add the scope to the client's/],
  ],
  [
    'a realm that requires https',
    refusing(403, 'invalid_request', 'HTTPS required'),
    ['token request', /requires https/, /use the https URL/],
  ],
  [
    'a client that requires DPoP',
    refusing(400, 'invalid_request', 'DPoP proof is missing'),
    ['token request', /DPoP/, /set dpop: true/],
  ],
  [
    'a disabled user of the service account',
    refusing(401, 'invalid_request', "User 'service-account-test-client' disabled"),
    ['token request', /user .+ is disabled/, /enable that user/],
  ],
  [
    'another URL of the realm in tokenEndpoint',
    () => to(`${plain.issuer}/account`),
    ['token request', /this URL is not a token endpoint/, /set tokenEndpoint to/],
  ],
  [
    'a gateway that answers 502 with HTML',
    answering({ status: 502, body: '<html>' }),
    ['token request', /status 502/, /logs of Keycloak and of the gateway/],
  ],
  [
    'a redirect to a login page',
    answering({ fault: 'redirect' }),
    ['token request', /status 307/, /if the redirect leads to Keycloak/],
  ],
  [
    'another public hostname',
    documenting(() => documentOf('https://public.example')),
    ['discovery', /belongs to the issuer https:\/\/public\.example/, /set issuer to the first URL/],
  ],
  [
    'a document without a token endpoint',
    documenting((url) => documentOf(url, { token_endpoint: undefined })),
    ['discovery', /no token_endpoint/, /set tokenEndpoint instead of issuer/],
  ],
  [
    'a server without the client credentials grant',
    documenting((url) => documentOf(url, { grant_types_supported: ['authorization_code'] })),
    ['discovery', /offers the grants authorization_code/, /client credentials grant/, 'warning'],
  ],
  [
    'a method that the server does not offer',
    documenting((url) =>
      documentOf(url, { token_endpoint_auth_methods_supported: ['private_key_jwt'] }),
    ),
    ['discovery', /methods private_key_jwt, but not client_secret_post/, /clientAuth/, 'warning'],
  ],
  [
    'a page that is not a discovery document',
    async (t) => ({ issuer: `${(await startApi(t, () => '<html>')).url}/realms/test` }),
    ['discovery', /not a JSON object/, /\{base\}\/realms\/\{realm\}/],
  ],
  [
    'grants that are not strings',
    documenting((url) => documentOf(url, { grant_types_supported: [{ toString: 1 }, 'implicit'] })),
    [
      'discovery',
      /offers the grants implicit, but not client_credentials/,
      /use a server/,
      'warning',
    ],
  ],
  [
    'a clock that is a minute behind the server',
    async (t) => {
      const api = await startApi(t, (_, response) => {
        response.setHeader('Date', new Date(Date.now() + 60_000).toUTCString());
        return JSON.stringify(documentOf(api.url));
      });
      return { issuer: `${api.url}/realms/test` };
    },
    ['clock', /(59|60|61) s behind the server/, /synchronise both clocks/, 'warning'],
  ],
  [
    'a token that has expired on arrival',
    answering({ expiresIn: -5 }),
    ['token', /expired|valid for only/, /Access Token Lifespan/, 'warning'],
  ],
  [
    'a scope that the token lacks',
    async (t) => {
      const endpoint = await startEndpoint(t);
      const access_token = endpoint.issueToken({ scope: 'email' });
      endpoint.setAnswer({ body: { access_token, token_type: 'Bearer' } });
      return to(endpoint.tokenEndpoint, { scope: 'email api.console' });
    },
    ['token', /lacks the scope api\.console/, /Client scopes/, 'warning'],
  ],
];

const API = [
  [
    'an API that rejects the token because of its audience',
    [401, { 'WWW-Authenticate': 'Bearer error="invalid_token", error_description="wrong aud"' }],
    [
      /status 401, WWW-Authenticate: Bearer error="invalid_token"/,
      /the token has aud account; ask .+ audience mapper for it .+ > test-client-dedicated/,
    ],
  ],
  [
    'an API that wants another scheme',
    [401, { 'WWW-Authenticate': 'Basic realm="x"' }],
    [/Basic/, /does not accept bearer tokens/],
  ],
  [
    'an API that gives no reason for a rejection',
    [401, {}],
    [/status 401/, /compare the token's iss, aud/],
  ],
  ['a role that is missing', [403, {}], [/status 403/, /Service accounts roles/]],
  [
    'a gateway that redirects to a login page',
    [302, { Location: 'https://sso.example/auth' }],
    [/redirect to https:\/\/sso\.example\/auth/, /login page/],
  ],
  ['a token that is too large', [431, {}], [/status 431/, /too large/]],
];

const CLOCKS = /compare the clocks/;
const AUDIENCE = /audience mapper/;
const ISSUER = /^compare the token's iss with/;
const SCOPE = /request the scope/;
const NO_REASON = /compare the token's iss, aud and/;
const NO_TOKEN = /does not accept bearer tokens/;

const invalid = (description) => `Bearer error="invalid_token", error_description="${description}"`;

/** A challenge, and the doctor's advice for it. */
const CHALLENGES = [
  ['', NO_REASON],
  ['Bearer', NO_REASON],
  [invalid('required role missing'), NO_REASON],
  [invalid('no permission'), NO_REASON],
  [invalid('issued by mistake'), NO_REASON],
  [invalid('fraudulent variations'), NO_REASON],
  ['Bearer realm="Associates"', NO_REASON],
  ['Bearer realm="fraud"', NO_REASON],
  ['Bearer realm="aud, error=\\"iss\\"", scope="iat"', NO_REASON],
  ['Bearer realm="x, Basic y"', NO_REASON],
  ['error="invalid_token"', NO_REASON],
  ['Bearer error_description="unclosed aud', NO_REASON],
  [invalid('Jwt expired at 2026-01-01T00:00:00Z'), CLOCKS],
  [invalid('\\"exp\\" claim timestamp check failed'), CLOCKS],
  [invalid('the claim iat is in the future'), CLOCKS],
  ['bearer error=token_expired', CLOCKS],
  [invalid('The aud claim is not valid'), AUDIENCE],
  [invalid('wrong Audience'), AUDIENCE],
  ['Basic realm="expired", Bearer error_description="bad audience"', AUDIENCE],
  [invalid('The iss claim is not valid'), ISSUER],
  [invalid('unknown issuer'), ISSUER],
  ['Bearer error="insufficient_scope", scope="aud"', SCOPE],
  ['DPoP error="insufficient_scope"', SCOPE],
  ['Basic realm="my bearer app"', NO_TOKEN],
  ['Basic realm="a, Bearer b"', NO_TOKEN],
  ['Negotiate', NO_TOKEN],
];

test('the advice for a 401 depends only on `error` and `error_description`', async (t) => {
  let challenge;
  const { url } = await startApi(t, () => [401, { 'WWW-Authenticate': challenge }, '']);
  const system = { env: {}, startEnv: {}, redactor: new Redactor() };
  const context = { ...system, api: new URL(url), options: {}, token: 't' };
  for (const [sent, expected] of CHALLENGES) {
    challenge = sent;
    const { text, advice } = await api.run(context, AbortSignal.timeout(STEP_MS));
    assert.match(text, /status 401/);
    assert.match(advice, expected, `${challenge}: ${advice}`);
  }
});

const RUNS = { concurrency: 3, timeout: 300_000 };

async function check(t, make, [step, text, advice, state = 'failed']) {
  const made = await make(t);
  const { flags, env } = made.flags === undefined ? { flags: made } : made;
  const result = await runDoctor({ 'client-id': CLIENT_ID, ...flags }, { env });
  const [first] = troubles(result);
  const shown = JSON.stringify(result.findings, null, 1);
  assert.ok(first !== undefined, shown);
  assert.deepEqual([first.step, first.state], [step, state], shown);
  assert.match(first.text, text);
  assert.match(first.advice, advice);
  const hasFailed = result.findings.some((finding) => finding.state === 'failed');
  assert.deepEqual([result.status, result.ok], hasFailed ? [1, false] : [0, true]);
  if (state === 'failed') assert.equal(result.status, 1);
  for (const { took = 0 } of result.findings) assert.ok(took <= STEP_MS, shown);
}

for (const [name, rows] of Object.entries({ NETWORK, TLS, KEYCLOAK })) {
  describe(`the doctor finds the cause: ${name}`, RUNS, () => {
    for (const [what, make, expected] of rows) {
      test(what, (t) => check(t, make, expected));
    }
  });
}

/** A SOCKS 5 proxy that requires the user `jane` with the password `canary`. */
function socksServer(target) {
  return net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(Buffer.from([5, 2]));
      socket.once('data', (login) => {
        const isRight = login.includes('jane') && login.includes('canary');
        socket.write(Buffer.from([1, isRight ? 0 : 1]));
        socket.once('data', () => {
          const server = net.connect(target, '127.0.0.1', () => {
            socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
            socket.pipe(server).pipe(socket);
          });
          server.on('error', () => socket.destroy());
        });
      });
    });
  });
}

async function forwardingProxy(t, settings) {
  const { createProxy } = await import('proxy');
  const bare = settings === undefined ? http.createServer() : https.createServer(settings);
  return listen(t, createProxy(bare));
}

/** Set-ups without a trouble, in the form of the tables above. */
const GOOD = [
  ['https with caFile', () => trusting()],
  ['an issuer', () => ({ issuer: secure.issuer, 'ca-file': ca.certFile })],
  ['an http proxy', async (t) => trusting({ proxy: (await forwardingProxy(t)).url })],
  [
    'an https proxy',
    async (t) => trusting({ proxy: (await forwardingProxy(t, certificates.server)).url }),
  ],
  [
    'a SOCKS proxy with a password',
    async (t) => {
      const { address } = await listen(t, socksServer(new URL(secure.url).port));
      return {
        flags: trusting(),
        env: { KEYCLOAK_PROXY: `socks5://jane:canary@${address}` },
      };
    },
  ],
  [
    'an http proxy, for plain http',
    async (t) => to(plain.tokenEndpoint, { proxy: (await forwardingProxy(t)).url }),
  ],
  ['DPoP', () => to(plain.tokenEndpoint, { dpop: true })],
  ['the global fetch', () => to(plain.tokenEndpoint, { 'token-fetch': true })],
  [
    'NODE_EXTRA_CA_CERTS',
    () => ({
      flags: to(secure.tokenEndpoint),
      env: { NODE_EXTRA_CA_CERTS: ca.certFile },
    }),
  ],
];
const trusting = (more) => to(secure.tokenEndpoint, { 'ca-file': ca.certFile, ...more });

describe('the doctor finds no problem with', RUNS, () => {
  for (const [what, make] of GOOD) {
    test(what, async (t) => {
      const made = await make(t);
      const { flags, env } = made.flags === undefined ? { flags: made } : made;
      const result = await runDoctor({ 'client-id': CLIENT_ID, ...flags }, { env });
      const shown = JSON.stringify(result.findings, null, 1);
      assert.deepEqual(troubles(result), [], shown);
      assert.equal(result.status, 0);
      assert.equal(result.findings.at(-1).step, 'token', shown);
      assert.ok(!shown.includes('canary'));
    });
  }
});

test('the doctor sends nothing but a handshake to an untrusted server', async () => {
  const before = secure.requestCount;
  for (const [flags, env] of [
    [{ 'skip-tls-verify': true }, {}],
    [{}, { NODE_TLS_REJECT_UNAUTHORIZED: '0' }],
  ]) {
    const { 'token-endpoint': url } = to(secure.tokenEndpoint);
    const given = { 'client-id': CLIENT_ID, 'token-endpoint': url, ...flags };
    const { status, findings } = await runDoctor(given, { env });
    const failed = findings.filter(({ state }) => state === 'failed').map(({ step }) => step);
    assert.deepEqual([status, failed], [1, ['TLS']]);
  }
  assert.equal(secure.requestCount, before);
});

describe('the doctor explains the answer of an API', RUNS, () => {
  for (const [what, answer, [text, advice]] of API) {
    test(what, async (t) => {
      const { url, requests } = await startApi(t, () => [...answer, '']);
      const flags = { 'client-id': CLIENT_ID, ...to(plain.tokenEndpoint), api: `${url}/agents` };
      const result = await runDoctor(flags);
      const [first] = troubles(result);
      assert.equal(first?.step, 'API', JSON.stringify(result));
      assert.match(first.text, text);
      assert.match(first.advice, advice);
      assert.equal(result.status, 1);
      assert.equal(requests.length, 1);
    });
  }
});
