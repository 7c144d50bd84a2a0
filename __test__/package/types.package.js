'use strict';

// The published types under the ways of resolving modules that users have, with the strict checks
// that they may have, those of declaration files included.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, it } = require('node:test');
const { ROOT, installByHand, readMain } = require('./support/dist.js');
const { LIMIT_MS, makeProject } = require('./support/project.js');

const SOURCE = `
import {
  KeycloakTokenError,
  KeycloakTokenManager,
  type KeycloakTokenManagerOptions,
} from 'keycloak-token-manager';
import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';

const options: KeycloakTokenManagerOptions = {
  tokenEndpoint: 'https://keycloak.example/token',
  clientId: 'client',
  clientSecret: async () => 'secret',
};
const manager = new KeycloakTokenManager(options);
export const token: Promise<string> = manager.getToken({ minValiditySeconds: 10 });
export const codeOf = (error: KeycloakTokenError): string => error.code;
export const endpoint: Promise<{ tokenEndpoint: string }> = startFakeTokenEndpoint();
// @ts-expect-error no such option
export const wrong = new KeycloakTokenManager({ ...options, clientSecrets: 'secret' });
`;
const COMMON = {
  target: 'es2022',
  lib: ['es2022'],
  types: ['node'],
  noEmit: true,
  skipLibCheck: false,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: false,
};
const variants = {
  'module node16, CommonJS': { file: 'program.cts', options: { module: 'node16' } },
  'module node16, ESM': { file: 'program.mts', options: { module: 'node16' } },
  'module nodenext, ESM': { file: 'program.mts', options: { module: 'nodenext' } },
  'moduleResolution bundler': {
    file: 'program.ts',
    options: { module: 'esnext', moduleResolution: 'bundler' },
  },
  'moduleResolution node10': {
    file: 'program.ts',
    options: { module: 'commonjs', moduleResolution: 'node10' },
  },
};

describe('the published types', { timeout: LIMIT_MS }, () => {
  for (const [name, { file, options }] of Object.entries(variants)) {
    it(`compile with ${name}`, async (t) => {
      const project = makeProject(t, {
        [file]: SOURCE,
        'tsconfig.json': JSON.stringify({
          compilerOptions: { ...COMMON, ...options },
          files: [file],
        }),
      });
      installByHand(project.folder, readMain());
      project.borrow('@types/node', 'undici-types');
      const compiler = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
      assert.equal(await project.run(process.execPath, [compiler, '--project', '.']), '');
    });
  }
});
