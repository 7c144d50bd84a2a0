'use strict';

// Measures the addon: the packed one in `dist/` if there is one, else the one of the checkout.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { findBinary, findPlatformPackage } = require('../tools/package/platform-package.js');
const { ownTarget } = require('../tools/package/targets.js');
const { version } = require('../package.json');

const root = path.join(__dirname, '..');

/** @returns {{ bytes: number, which: string }} */
function binarySize() {
  const target = ownTarget();
  const name = findBinary(target);
  const packed = path.join(root, 'dist', `${findPlatformPackage(target)}-${version}.tgz`);
  if (fs.existsSync(packed)) {
    const args = ['-xzOf', packed, `package/${name}`];
    const { length: bytes } = execFileSync('tar', args, { maxBuffer: 2 ** 27 });
    return { bytes, which: `the one in dist/${path.basename(packed)}` };
  }
  return { bytes: fs.statSync(path.join(root, name)).size, which: `${name} of the checkout` };
}

module.exports = { binarySize };
