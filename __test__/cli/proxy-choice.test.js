'use strict';

// The doctor chooses the proxy for a request as the core does. For each row, the test compares the
// doctor's choice with the manager's requests that a proxy records.

const assert = require('node:assert/strict');
const http = require('node:http');
const { after, before, describe, test } = require('node:test');
const { chooseProxy } = require('../../lib/cli/proxy-choice.js');
const { listen } = require('../support/listen.js');
const { openManager } = require('../support/manager.js');

const VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
const HTTPS = 'https://sso.a.invalid';
const ADDRESS = 'https://192.0.2.77:9';

/**
 * The URL, the variables that add to or override `HTTPS_PROXY`, whether the manager uses the proxy,
 * and the option `proxy`.
 */
const ROWS = [
  [HTTPS, {}, true],
  ['http://sso.a.invalid', {}, false],
  [HTTPS, { HTTPS_PROXY: '' }, false],
  [HTTPS, { https_proxy: '' }, false],
  [HTTPS, { NO_PROXY: '*' }, false],
  [HTTPS, { NO_PROXY: 'b.invalid, a.invalid' }, false],
  [HTTPS, { NO_PROXY: '.a.invalid' }, false],
  [HTTPS, { NO_PROXY: '*.a.invalid' }, false],
  [HTTPS, { NO_PROXY: '*.sso.a.invalid' }, true],
  [HTTPS, { NO_PROXY: 'o.a.invalid' }, true],
  [HTTPS, { NO_PROXY: 'SSO.A.INVALID.' }, false],
  [HTTPS, { NO_PROXY: 'sso.a.invalid:443' }, false],
  [HTTPS, { NO_PROXY: 'sso.a.invalid:8443' }, true],
  [HTTPS, { NO_PROXY: '*', no_proxy: 'b.invalid' }, true],
  [ADDRESS, { NO_PROXY: '192.0.2.0/24' }, false],
  [ADDRESS, { NO_PROXY: '192.0.3.0/24' }, true],
  [ADDRESS, { NO_PROXY: '192.0.2.70-192.0.2.80' }, false],
  [ADDRESS, { NO_PROXY: '192.0.2.77' }, false],
  ['https://[2001:db8::7]:9', { NO_PROXY: '2001:db8::/32' }, false],
  ['https://[2001:db8::7]:9', { NO_PROXY: '2001:db8::7' }, false],
  ['https://[2001:db8::7]:9', { NO_PROXY: '[2001:db8::7]' }, false],
  ['https://[2001:db8::7]:9', { NO_PROXY: '[2001:db8::7]:9' }, false],
  ['https://localhost:9', {}, false],
  ['https://x.localhost:9', {}, false],
  ['https://127.0.0.9:9', {}, false],
  ['https://127.0.0.9:9', {}, true, 'the proxy'],
  [HTTPS, {}, false, false],
  [HTTPS, { NO_PROXY: '*' }, true, 'the proxy'],
];

describe('the doctor and the manager', { concurrency: false, timeout: 120_000 }, () => {
  let proxy;
  const asked = [];
  before(async () => {
    const server = http.createServer().on('connect', ({ url }, socket) => {
      asked.push(url);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    proxy = await listen(undefined, server);
  });
  after(() => proxy.stop());

  for (const [origin, variables, isUsed, option] of ROWS) {
    const given = option === undefined ? '' : `, option ${option}`;
    const name = `${isUsed ? 'use' : 'bypass'} the proxy for ${origin}, ${JSON.stringify(variables)}${given}`;
    test(name, async (t) => {
      asked.length = 0;
      const env = { HTTPS_PROXY: proxy.url, ...variables };
      const chosen = option === 'the proxy' ? proxy.url : option;
      const found = chooseProxy(new URL(origin), chosen, env);
      assert.equal(found.url?.host, isUsed ? proxy.address : undefined);
      assert.equal(typeof found.why, isUsed ? 'undefined' : 'string');
      const saved = process.env;
      process.env = { ...saved };
      for (const variable of VARIABLES) delete process.env[variable];
      Object.assign(process.env, env);
      let manager;
      try {
        const options = { tokenEndpoint: `${origin}/token`, requestTimeoutMs: 400 };
        manager = openManager(t, { ...options, proxy: chosen });
      } finally {
        process.env = saved;
      }
      await assert.rejects(manager.getToken());
      assert.equal(asked.length > 0, isUsed, `asked for ${asked}`);
    });
  }
});
