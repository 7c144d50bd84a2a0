'use strict';

/** Compiles the types of the service, and the examples that use it, with Backstage's own types. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { cp, symlink, writeFile } = require('node:fs/promises');
const path = require('node:path');
const { describe, test } = require('node:test');
const { allExamples, needsBackstage } = require('../../tools/examples.js');
const { useWorkspace } = require('./support.js');

const root = path.join(__dirname, '..', '..');
const OPTIONS =
  '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --module node16 ' +
  '--moduleResolution node16 --lib es2022 --types node';

for (const release of ['newest', 'oldest']) {
  describe(`the types, with the ${release} release`, () => {
    const workspace = useWorkspace([], { release });

    test('fit their use in a plugin and in the examples', async () => {
      await cp(path.join(__dirname, 'plugin.types.ts'), path.join(workspace.folder, 'plugin.ts'));
      const files = ['plugin.ts'];
      for (const { file, line, code } of allExamples().filter(needsBackstage)) {
        // A block may begin with the name under which other blocks import it.
        const [, given] = /^\/\/ (\w+\.ts)\n/.exec(code) ?? [];
        const name = given ?? `${file.replaceAll(/\W/g, '-')}-${line}.ts`;
        await writeFile(path.join(workspace.folder, name), code);
        files.push(name);
      }
      const types = path.join(workspace.folder, 'types');
      await symlink(path.join(root, 'node_modules', '@types'), types);
      const { stdout } = spawnSync(
        process.execPath,
        [
          path.join(root, 'node_modules/typescript/bin/tsc'),
          ...OPTIONS.split(' '),
          '--typeRoots',
          types,
          ...files,
        ],
        { cwd: workspace.folder, encoding: 'utf8' },
      );
      // Backstage's own declarations have faults that depend on the installed packages.
      const ours = stdout
        .split('\n')
        .filter((line) => /^([\w-]+\.ts|node_modules\/keycloak-token-manager\/)/.test(line));
      assert.deepEqual(ours, []);
    });
  });
}
