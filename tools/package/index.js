'use strict';

// `npm run package` writes the main package and the package of this platform to `dist/`. With
// `--target`, which you can repeat, it writes only the packages of the given platforms.
// `--repository URL` adds the location of the sources to the manifests. `--reproduce` builds every
// binary twice and compares the results. `--binary FILE` packs a binary that `cargo build` has
// built on another system, for targets that this system cannot build.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { pinnedPackages } = require('../pinned-packages.js');
const { root, run, runMain } = require('../run.js');
const { buildBinary } = require('./build.js');
const { thirdParty } = require('./licences.js');
const { library, mainManifest, stageMain, whereabouts } = require('./main-package.js');
const { findBinary, findPlatformPackage, stagePlatform } = require('./platform-package.js');
const { reproduce } = require('./reproduce.js');
const { mainBill, platformBill } = require('./sbom.js');
const { findTarget, ownTarget, targets } = require('./targets.js');

const DIST = path.join(root, 'dist');
const { name: NAME, version } = require('../../package.json');
const SUMS = 'SHA256SUMS';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Packs a folder with npm. */
async function pack(folder) {
  const options = ['--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', DIST];
  const args = ['pack', ...options, folder];
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(
    await run('npm', args, { capture: true }),
  );
  console.log(`${filename}: ${entryCount} files, ${size} bytes, ${unpackedSize} unpacked`);
}

async function packMain(temporary, { webpack, cyclonedx, repository }) {
  const folder = path.join(temporary, 'main');
  fs.mkdirSync(folder);
  await stageMain(folder, { webpack, repository });
  await pack(folder);
  return mainBill(mainManifest(repository), library(), cyclonedx);
}

async function packPlatform(name, temporary, { cyclonedx, repository, twice, built }) {
  const folder = path.join(temporary, name);
  fs.mkdirSync(folder);
  const binary = path.join(folder, findBinary(name));
  const hasSymbols = targets[name].os === 'linux' && built === undefined;
  const symbols = path.join(DIST, `${findPlatformPackage(name)}-${version}.debug`);
  const linked = await buildBinary(name, { binary, symbols, built });
  const known = hasSymbols ? fs.readFileSync(symbols) : Buffer.alloc(0);
  const licences = await thirdParty(name, linked, known);
  fs.writeFileSync(path.join(folder, 'THIRD-PARTY.txt'), licences);
  stagePlatform(folder, name, whereabouts(repository));
  await pack(folder);
  const bytes = fs.readFileSync(binary);
  console.log(`${findBinary(name)}: ${bytes.length} bytes, sha256 ${sha256(bytes)}`);
  if (twice) await reproduce(name, bytes);
  const rustc = await run('rustc', ['--version'], { capture: true });
  return platformBill(name, linked, {
    binary: bytes,
    lockFile: path.join(root, 'Cargo.lock'),
    rustVersion: rustc.split(' ')[1],
    cyclonedx,
  });
}

/** Removes the files of other versions. */
function removeOthers() {
  for (const file of fs.readdirSync(DIST)) {
    if (!file.includes(`-${version}.`)) fs.rmSync(path.join(DIST, file), { recursive: true });
  }
}

function writeSums() {
  const files = fs.readdirSync(DIST).filter((file) => file !== SUMS);
  const lines = files.sort().map((file) => {
    return `${sha256(fs.readFileSync(path.join(DIST, file)))}  ${file}\n`;
  });
  fs.writeFileSync(path.join(DIST, SUMS), lines.join(''));
}

async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      target: { type: 'string', multiple: true },
      repository: { type: 'string' },
      reproduce: { type: 'boolean' },
      binary: { type: 'string' },
    },
  });
  const names = values.target?.map(findTarget) ?? [ownTarget()];
  if (values.binary !== undefined && values.target?.length !== 1) {
    throw new Error('--binary needs exactly one --target');
  }
  const tools = await pinnedPackages('package-tools', path.join(__dirname, 'dependencies'));
  const options = {
    webpack: require(path.join(tools, 'webpack')),
    cyclonedx: require(path.join(tools, '@cyclonedx', 'cyclonedx-library')),
    repository: values.repository,
    twice: values.reproduce,
    built: values.binary,
  };
  const writeBill = (name, bill) =>
    fs.writeFileSync(path.join(DIST, `${name}-${version}.cdx.json`), bill);
  fs.mkdirSync(DIST, { recursive: true });
  removeOthers();
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), `${NAME}-package-`));
  try {
    if (values.target === undefined) writeBill(NAME, await packMain(temporary, options));
    for (const name of names) {
      writeBill(findPlatformPackage(name), await packPlatform(name, temporary, options));
    }
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
  writeSums();
}

runMain(module, main);
