'use strict';

/** The types of the service, compiled against Backstage's own. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { cp, symlink } = require('node:fs/promises');
const path = require('node:path');
const { describe, test } = require('node:test');
const { useWorkspace } = require('./support.js');

const root = path.join(__dirname, '..', '..');
const OPTIONS = [
  ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022'],
  ...['--module', 'node16', '--moduleResolution', 'node16', '--lib', 'es2022', '--types', 'node'],
];

for (const release of ['newest', 'oldest']) {
  describe(`the types, with the ${release} release`, () => {
    const workspace = useWorkspace([], { release });

    test('fit what a plugin does with them', async () => {
      const file = path.join(workspace.folder, 'plugin.ts');
      await cp(path.join(__dirname, 'plugin.types.ts'), file);
      const types = path.join(workspace.folder, 'types');
      await symlink(path.join(root, 'node_modules', '@types'), types);
      const { stdout } = spawnSync(
        process.execPath,
        [
          path.join(root, 'node_modules/typescript/bin/tsc'),
          ...OPTIONS,
          '--typeRoots',
          types,
          file,
        ],
        { cwd: workspace.folder, encoding: 'utf8' },
      );
      // Backstage's own declarations have faults that depend on what is installed beside them.
      const ours = stdout
        .split('\n')
        .filter((line) => /^(plugin\.ts|node_modules\/keycloak-token-manager\/)/.test(line));
      assert.deepEqual(ours, []);
    });
  });
}
