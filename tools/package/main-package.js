'use strict';

// The main package contains the entries of `files` in the manifest. Its JavaScript keeps names and
// comments, so that you can audit it; `index.js` is a bundle. The manifest lists the packages of
// all platforms as optional dependencies.

const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { root } = require('../run.js');
const { findPlatformPackage } = require('./platform-package.js');
const { targets } = require('./targets.js');

const ENTRY = 'index.js';
/** The modules that `index.js` and another entry both need. */
const SHARED = ['lib/reconfigure.js', 'lib/resource-fetch.js'];
/** Webpack does not parse this module, so its calls of `require` keep their form. */
const PLATFORM_PACKAGES = 'lib/platform-packages.js';
/** The keys of the manifest that only a checkout needs. */
const OF_THE_CHECKOUT = ['private', 'napi', 'scripts', 'devDependencies'];

const readManifest = () => JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Returns the links to the sources that the registry shows; no links without a repository. */
function whereabouts(repository) {
  if (repository === undefined) return {};
  const { protocol, pathname } = new URL(repository);
  if (protocol !== 'https:' || pathname.endsWith('/')) {
    throw new Error(
      `--repository: expected an https URL without a slash at its end, got ${repository}`,
    );
  }
  return {
    homepage: `${repository}#readme`,
    repository: { type: 'git', url: `git+${repository}.git` },
    bugs: { url: `${repository}/issues` },
  };
}

/** Returns the published manifest. */
function mainManifest(repository) {
  const manifest = readManifest();
  for (const key of OF_THE_CHECKOUT) delete manifest[key];
  return {
    ...manifest,
    ...whereabouts(repository),
    optionalDependencies: Object.fromEntries(
      Object.keys(targets).map((name) => [findPlatformPackage(name), manifest.version]),
    ),
  };
}

/** Fills the folder with the files to pack. */
async function stageMain(folder, { webpack, repository }) {
  const manifest = mainManifest(repository);
  for (const name of [...manifest.files, 'README.md', 'LICENSE']) {
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  await bundle(folder, webpack, manifest.version);
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * Puts `index.js` and the modules that it needs into one file, because Node takes up to half a
 * millisecond to load each file. Webpack copies the modules unchanged. The function then removes
 * the modules that only `index.js` needs.
 */
async function bundle(folder, webpack, version) {
  // The version is the only part of the manifest that the code reads.
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ version }));
  const compiler = webpack({
    mode: 'none',
    target: 'node20.9',
    context: folder,
    entry: `./${ENTRY}`,
    output: { path: folder, filename: ENTRY, library: { type: 'commonjs2' }, pathinfo: true },
    module: { noParse: path.join(folder, PLATFORM_PACKAGES) },
    node: { __dirname: false },
    plugins: [new webpack.DefinePlugin({ IS_PUBLISHED: 'true' })],
  });
  const stats = await promisify(compiler.run.bind(compiler))();
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'));
  for (const file of stats.compilation.fileDependencies) {
    const name = path.relative(folder, file);
    if (/^lib\/.*\.js$/.test(name) && !SHARED.includes(name)) fs.rmSync(file);
  }
}

module.exports = { mainManifest, stageMain, whereabouts };
