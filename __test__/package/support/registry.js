'use strict';

// A registry on loopback with the packages of `dist/`. A platform that `dist/` lacks has a package
// without a binary, so that a client chooses among all platforms.

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { createServer } = require('node:http');
const os = require('node:os');
const path = require('node:path');
const {
  findPlatformPackage,
  platformManifest,
} = require('../../../tools/package/platform-package.js');
const { targets } = require('../../../tools/package/targets.js');
const { readMain, readPackage } = require('./dist.js');
const { listen } = require('../../support/listen.js');

function stub(target) {
  const manifest = platformManifest(target);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-stub-'));
  fs.mkdirSync(path.join(folder, 'package'));
  fs.writeFileSync(path.join(folder, 'package', 'package.json'), JSON.stringify(manifest));
  const archive = execFileSync('tar', ['-czf', '-', '-C', folder, 'package']);
  fs.rmSync(folder, { recursive: true });
  return { name: manifest.name, archive, manifest };
}

/**
 * Starts the registry and returns `{ url, downloads, close() }`; `downloads` lists the fetched
 * packages.
 */
async function startRegistry() {
  const packages = new Map();
  for (const found of [
    readMain(),
    ...Object.keys(targets).map((name) => readPackage(findPlatformPackage(name)) ?? stub(name)),
  ]) {
    packages.set(found.name, found);
  }
  const downloads = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    const [, name, isArchive] = /^\/([^/]+)(\/-\/.*\.tgz)?$/.exec(pathname) ?? [];
    const found = packages.get(name);
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    } else if (isArchive) {
      downloads.push(name);
      response.writeHead(200).end(found.archive);
    } else {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(document(found, url)));
    }
  });
  const { url, stop } = await listen(undefined, server);
  return { url, downloads, close: stop };
}

function document({ name, archive, manifest }, url) {
  const { version } = manifest;
  const dist = {
    tarball: `${url}/${name}/-/${name}-${version}.tgz`,
    shasum: createHash('sha1').update(archive).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(archive).digest('base64')}`,
  };
  const time = '2020-01-01T00:00:00.000Z';
  return {
    name,
    'dist-tags': { latest: version },
    time: { created: time, modified: time, [version]: time },
    versions: { [version]: { ...manifest, dist } },
  };
}

module.exports = { startRegistry };
