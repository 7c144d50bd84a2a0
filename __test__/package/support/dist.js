'use strict';

// The packages of `dist/`, in their published form.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { findPlatformPackage } = require('../../../tools/package/platform-package.js');
const { ownTarget, targets } = require('../../../tools/package/targets.js');

const ROOT = path.join(__dirname, '..', '..', '..');
const DIST = path.join(ROOT, 'dist');
const { name: NAME, version } = require('../../../package.json');

/** Returns a package of `dist/`, or `undefined` if `dist/` does not contain it. */
function readPackage(name) {
  const file = path.join(DIST, `${name}-${version}.tgz`);
  if (!fs.existsSync(file)) return undefined;
  const files = unpack(file);
  const manifest = JSON.parse(files.get('package.json'));
  return { name, file, archive: fs.readFileSync(file), files, manifest };
}

/** The contents of an archive, keyed by the path inside the package. */
function unpack(archive) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-tar-'));
  execFileSync('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
  const files = fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => fs.statSync(path.join(folder, name)).isFile())
    .map((name) => [name, fs.readFileSync(path.join(folder, name))]);
  fs.rmSync(folder, { recursive: true });
  return new Map(files);
}

function mustHave(name) {
  const found = readPackage(name);
  if (found === undefined) throw new Error(`no ${name} in dist: npm run package makes it`);
  return found;
}

const readMain = () => mustHave(NAME);
const readOwnPlatform = () => mustHave(findPlatformPackage(ownTarget()));
/** The targets in `dist/`. */
const builtTargets = () =>
  Object.keys(targets).filter((name) => readPackage(findPlatformPackage(name)) !== undefined);

/** Writes the files of packages to a folder's `node_modules`, as an installation does. */
function installByHand(folder, ...packages) {
  for (const { name, files } of packages) {
    const to = path.join(folder, 'node_modules', name);
    for (const [file, content] of files) {
      fs.mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
      fs.writeFileSync(path.join(to, file), content);
    }
  }
}

module.exports = {
  DIST,
  NAME,
  ROOT,
  version,
  builtTargets,
  installByHand,
  readMain,
  readOwnPlatform,
  readPackage,
};
