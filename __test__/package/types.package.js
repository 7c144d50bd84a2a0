'use strict';

// The published types under each module resolution of TypeScript, with strict checks that include
// declaration files.

const assert = require('node:assert/strict');
const { symlinkSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { ROOT, installByHand, readMain } = require('./support/dist.js');
const { LIMIT_MS, makeProject } = require('./support/project.js');

const SOURCE = `
import { type KeycloakTokenError, KeycloakTokenManager, type TokenStore } from 'keycloak-token-manager';
import { fromKeyv } from 'keycloak-token-manager/store';
import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';

const options = { tokenEndpoint: 'https://keycloak.example/token', clientId: 'client' };
const manager = new KeycloakTokenManager({ ...options, clientSecret: async () => 'secret' });
export const token: Promise<string> = manager.getToken({ minValiditySeconds: 10 });
export const codeOf = (error: KeycloakTokenError): string => error.code;
export const endpoint: Promise<{ tokenEndpoint: string }> = startFakeTokenEndpoint();
export const store = (keyv: Parameters<typeof fromKeyv>[0]): TokenStore => fromKeyv(keyv);
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
};
const BOTH = ['program.cts', 'program.mts'];
const variants = [
  ['node16, CommonJS and ESM', BOTH, { module: 'node16' }],
  ['nodenext, CommonJS and ESM', BOTH, { module: 'nodenext' }],
  ['bundler', ['program.ts'], { module: 'esnext', moduleResolution: 'bundler' }],
  ['node10', ['program.ts'], { module: 'commonjs', moduleResolution: 'node10' }],
];

describe('the published types', { timeout: LIMIT_MS }, () => {
  for (const [name, files, options] of variants) {
    it(`compile with ${name}`, async (t) => {
      const configuration = { compilerOptions: { ...COMMON, ...options }, files };
      const project = makeProject(t, { 'tsconfig.json': JSON.stringify(configuration) });
      for (const file of files) project.write(file, SOURCE);
      installByHand(project.folder, readMain());
      for (const name of ['@types', 'undici-types']) {
        const modules = path.join('node_modules', name);
        symlinkSync(path.join(ROOT, modules), path.join(project.folder, modules));
      }
      const compiler = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
      assert.equal(await project.run(process.execPath, [compiler, '--project', '.']), '');
    });
  }
});
