'use strict';

// Makes the package of a platform: the binary, and the licences of its parts.

const fs = require('node:fs');
const path = require('node:path');
const { root } = require('../run.js');
const { targets } = require('./targets.js');

const { name: NAME, version, license, engines } = require('../../package.json');
const SYSTEMS = { darwin: 'macOS', linux: 'Linux', win32: 'Windows' };

const findPlatformPackage = (name) => `${NAME}-${name}`;
const findBinary = (name) => `${NAME}.${name}.node`;

function describe(name) {
  const { os, cpu, libc } = targets[name];
  return `${SYSTEMS[os]} on ${cpu}${libc === undefined ? '' : ` with ${libc}`}`;
}

/** Returns the manifest; `whereabouts` contains the links of the main package. */
function platformManifest(name, whereabouts = {}) {
  const { os, cpu, libc } = targets[name];
  return {
    name: findPlatformPackage(name),
    version,
    description: `The native binary of ${NAME} for ${describe(name)}`,
    license,
    ...whereabouts,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc !== undefined && { libc: [libc] }),
    main: findBinary(name),
    files: [findBinary(name), 'THIRD-PARTY.txt'],
    // Yarn's Plug'n'Play keeps packages in zip files, and no system can load a binary from a zip
    // file.
    preferUnplugged: true,
  };
}

/** Adds the other files to a folder that contains the binary and the third-party licences. */
function stagePlatform(folder, name, whereabouts) {
  const manifest = platformManifest(name, whereabouts);
  fs.cpSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  fs.writeFileSync(
    path.join(folder, 'README.md'),
    `# ${manifest.name}\n\n${manifest.description}. ` +
      `Package managers install it with \`${NAME}\`; install that package instead.\n`,
  );
}

module.exports = { findBinary, findPlatformPackage, platformManifest, stagePlatform };
