'use strict';

/**
 * Preloaded into test files to run them a second time: every manager sends its requests with
 * `tokenFetch: true`, unless another option excludes it. Tests in the table of exemptions are
 * skipped for the reason in their row. A row that matches no test of its file fails the run.
 */

const Module = require('node:module');
const path = require('node:path');
const { EXEMPT } = require('./token-fetch-exemptions.js');
const managers = require('../../lib/manager.js');
const reconfigure = require('../../lib/reconfigure.js');

const EXCLUDED = [
  'ca',
  'caFile',
  'clientCertificate',
  'clientCertificateFile',
  'clientKey',
  'clientKeyFile',
  'proxy',
  'skipTlsVerify',
  'tokenFetch',
];

function withTokenFetch(options) {
  const isPlain = options !== null && typeof options === 'object' && !Array.isArray(options);
  if (!isPlain || EXCLUDED.some((name) => name in options)) return options;
  // Copies the descriptors, so that getters of the options still run.
  return Object.create(Object.getPrototypeOf(options), {
    ...Object.getOwnPropertyDescriptors(options),
    tokenFetch: { value: true, enumerable: true },
  });
}

const Native = managers.KeycloakTokenManager;
managers.KeycloakTokenManager = class KeycloakTokenManager extends Native {
  constructor(options) {
    super(withTokenFetch(options));
  }

  [reconfigure](options) {
    super[reconfigure](withTokenFetch(options));
  }
};

const file = path.basename(process.argv[1] ?? '');
const exempt = new Map(Object.entries(EXEMPT[file] ?? {}));
const unmatched = new Set(exempt.keys());

function exempting(test) {
  return (name, ...rest) => {
    unmatched.delete(name);
    const skip = exempt.get(name);
    return skip === undefined ? test(name, ...rest) : test(name, { skip }, () => {});
  };
}

const load = Module._load;
Module._load = function loadModule(request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  if (request !== 'node:test') return loaded;
  const test = exempting(loaded.test);
  return Object.assign(test, loaded, { test, it: test });
};

process.on('exit', () => {
  // The runner itself also loads this file, but runs no test.
  if (process.env.NODE_TEST_CONTEXT === undefined || unmatched.size === 0) return;
  console.error(`no such test in ${file}: ${[...unmatched].join('; ')}`);
  process.exitCode = 1;
});
