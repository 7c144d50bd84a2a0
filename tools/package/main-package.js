'use strict';

// The main package contains the entries of `files` in the manifest. Its JavaScript keeps names and
// comments, so that you can audit it. `index.js` and the program are bundles. The manifest lists
// the packages of all platforms as optional dependencies.

const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { root } = require('../run.js');
const { findPlatformPackage } = require('./platform-package.js');
const { targets } = require('./targets.js');

const ENTRY = 'index.js';
const PROGRAM = 'lib/cli/index.js';
/** The modules that the program loads from the package. Its bundle does not contain them. */
const OF_THE_PACKAGE = ['index.js', 'package.json', 'lib/backstage/config.js'];
/** The library in the program. As a dependency, it would add 900 kB to every installation. */
const LIBRARY = 'js-yaml';
const LICENCES = 'THIRD-PARTY.txt';
/** The modules that `index.js` and another entry both need. */
const SHARED = [
  'lib/error.js',
  'lib/observe.js',
  'lib/opentelemetry-api.js',
  'lib/optional-peer.js',
  'lib/reconfigure.js',
  'lib/resource-copy.js',
  'lib/resource-fetch.js',
  'lib/resource-headers.js',
];
/** Webpack does not parse these modules, so it leaves their calls of `require` unchanged. */
const UNPARSED = ['lib/platform-packages.js', 'lib/optional-peer.js'];
/** The keys of the manifest that only a checkout needs. */
const OF_THE_CHECKOUT = ['private', 'napi', 'scripts', 'devDependencies'];

const readManifest = () => JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Returns the manifest's links to the repository, which the registry shows; `{}` without one. */
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
    files: [...manifest.files, LICENCES],
    optionalDependencies: Object.fromEntries(
      Object.keys(targets).map((name) => [findPlatformPackage(name), manifest.version]),
    ),
  };
}

/** Fills the folder with the files to pack. */
async function stageMain(folder, { webpack, repository }) {
  const manifest = mainManifest(repository);
  for (const name of [...readManifest().files, 'README.md', 'LICENSE']) {
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
  }
  await bundleProgram(folder, webpack);
  await bundle(folder, webpack, manifest.version);
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Puts the modules of the program and its library into one file, next to the library's licence. */
async function bundleProgram(folder, webpack) {
  const only = path.join(folder, 'options.json');
  const options = JSON.parse(fs.readFileSync(path.join(root, 'options.json'), 'utf8'));
  // The program shows the summaries alone.
  fs.writeFileSync(only, JSON.stringify(options.map(({ details, ...row }) => row)));
  await compile(webpack, folder, PROGRAM, {
    resolve: { modules: [path.join(root, 'node_modules')] },
    externals({ context, request }, done) {
      const name = path.relative(folder, path.resolve(context, request));
      if (OF_THE_PACKAGE.includes(name)) done(null, `commonjs ../../${name}`);
      else done();
    },
    plugins: [new webpack.BannerPlugin({ banner: '#!/usr/bin/env node', raw: true })],
  });
  const bundled = fs.readFileSync(path.join(folder, PROGRAM));
  fs.rmSync(only);
  fs.rmSync(path.join(folder, path.dirname(PROGRAM)), { recursive: true });
  fs.mkdirSync(path.join(folder, path.dirname(PROGRAM)));
  fs.writeFileSync(path.join(folder, PROGRAM), bundled, { mode: 0o755 });
  const { name, version, license, texts } = library();
  const head = `${PROGRAM} contains ${name} ${version}: ${license}`;
  fs.writeFileSync(path.join(folder, LICENCES), [head, ...texts].join('\n\n'));
}

/** Returns the library in the program, with its licence. */
function library() {
  const folder = path.join(root, 'node_modules', LIBRARY);
  const { name, version, license } = JSON.parse(
    fs.readFileSync(path.join(folder, 'package.json'), 'utf8'),
  );
  const texts = [fs.readFileSync(path.join(folder, 'LICENSE'), 'utf8')];
  return { name, version, license, texts };
}

/** Bundles an entry in place. Returns the files that the bundle contains. */
async function compile(webpack, folder, entry, options) {
  const compiler = webpack({
    mode: 'none',
    target: 'node20.9',
    context: folder,
    entry: `./${entry}`,
    output: { path: folder, filename: entry, library: { type: 'commonjs2' }, pathinfo: true },
    node: { __dirname: false },
    ...options,
  });
  const stats = await promisify(compiler.run.bind(compiler))();
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'));
  return stats.compilation.fileDependencies;
}

/**
 * Puts `index.js` and the modules that it needs into one file, because Node takes up to half a
 * millisecond to load each file. Webpack copies the modules unchanged. The function then removes
 * the modules that only `index.js` needs.
 */
async function bundle(folder, webpack, version) {
  // The version is the only part of the manifest that the code reads.
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ version }));
  const files = await compile(webpack, folder, ENTRY, {
    module: { noParse: UNPARSED.map((name) => path.join(folder, name)) },
    plugins: [new webpack.DefinePlugin({ IS_PUBLISHED: 'true' })],
  });
  for (const file of files) {
    const name = path.relative(folder, file);
    if (/^lib\/.*\.js$/.test(name) && !SHARED.includes(name)) fs.rmSync(file);
  }
}

module.exports = { library, mainManifest, stageMain, whereabouts };
