'use strict';

// How large the addon is: the published one if it has been packed, else the one of the checkout.

const fs = require('node:fs');
const path = require('node:path');
const { gunzipSync } = require('node:zlib');
const { ownTarget } = require('../tools/package/targets.js');
const { version } = require('../package.json');

const root = path.join(__dirname, '..');
const TAR_BLOCK = 512;

/** The size of the first file in a tar archive whose name ends so. */
function sizeInArchive(archive, ending) {
  const field = (start, length) => archive.toString('latin1', start, start + length).split('\0')[0];
  for (let at = 0; at + TAR_BLOCK <= archive.length; ) {
    const name = field(at, 100);
    if (name === '') break;
    const size = Number.parseInt(field(at + 124, 12), 8);
    if (name.endsWith(ending)) return size;
    at += TAR_BLOCK * (1 + Math.ceil(size / TAR_BLOCK));
  }
  throw new Error(`there is no ${ending} in the package`);
}

/** @returns {{ bytes: number, which: string }} */
function binarySize() {
  const target = ownTarget();
  const packed = path.join(root, 'dist', `keycloak-token-manager-${target}-${version}.tgz`);
  if (fs.existsSync(packed)) {
    const bytes = sizeInArchive(gunzipSync(fs.readFileSync(packed)), '.node');
    return { bytes, which: `the one in dist/${path.basename(packed)}` };
  }
  const own = `keycloak-token-manager.${target}.node`;
  return { bytes: fs.statSync(path.join(root, own)).size, which: `${own} of the checkout` };
}

module.exports = { binarySize, sizeInArchive };
