'use strict';

/** Compiles the adapters' examples with the clients' own types. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { allExamples, needsBackstage } = require('../../tools/examples.js');
const { makeFolder } = require('../support/files.js');
const { INSTALL_TIMEOUT_MS, installClients } = require('./support.js');

const root = path.join(__dirname, '..', '..');
const OPTIONS =
  '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --module node16 ' +
  '--moduleResolution node16 --lib es2022 --types node --moduleDetection force';
/** The names that the examples use without declaring them. */
const BORROWED = ['tokenEndpoint', 'clientId', 'clientSecret'];
/** The clients in forms that the examples do not show. */
const FURTHER = `
import { createKeyv } from '@keyv/redis';
import { Keyv } from 'keyv';
import { Cluster } from 'ioredis';
import { createClientPool, createCluster } from 'redis';
import { fromIoredis, fromKeyv, fromNodeRedis } from 'keycloak-token-manager/store';
fromKeyv(createKeyv('redis://127.0.0.1'));
fromKeyv(new Keyv<string>());
fromIoredis(new Cluster([]));
fromNodeRedis(createClientPool());
fromNodeRedis(createCluster({ rootNodes: [] }));
// @ts-expect-error: a client of ioredis has no options in an object.
fromNodeRedis(new Cluster([]));
`;

test("the clients fit the adapters' types", { timeout: INSTALL_TIMEOUT_MS }, async (t) => {
  const folder = makeFolder(t);
  const modules = path.join(folder, 'node_modules');
  fs.mkdirSync(modules);
  const clients = (await installClients())('node-redis');
  for (const name of fs.readdirSync(clients).filter((entry) => !entry.startsWith('.'))) {
    fs.symlinkSync(path.join(clients, name), path.join(modules, name));
  }
  fs.symlinkSync(root, path.join(modules, 'keycloak-token-manager'));
  const globals = BORROWED.map((name) => `declare const ${name}: string;\n`).join('');
  fs.writeFileSync(path.join(folder, 'globals.d.ts'), globals);
  const examples = allExamples().filter(
    (block) => block.code.includes('keycloak-token-manager/store') && !needsBackstage(block),
  );
  assert.ok(examples.length > 5);
  const files = ['globals.d.ts'];
  for (const [at, code] of [FURTHER, ...examples.map((example) => example.code)].entries()) {
    fs.writeFileSync(path.join(folder, `example-${at}.mts`), code);
    files.push(`example-${at}.mts`);
  }
  const types = path.join(root, 'node_modules', '@types');
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [compiler, ...OPTIONS.split(' '), '--typeRoots', types, ...files];
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  // The clients' declarations need browser types.
  const ours = stdout.split('\n').filter((line) => /^(example-\d+\.mts|.*lib\/store)/.test(line));
  assert.deepEqual(ours, []);
});
