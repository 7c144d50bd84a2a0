'use strict';

// The main package: what the checkout's `files` name, JavaScript minified, the files behind
// `index.js` in one, and a manifest that asks for the package of the platform.

const fs = require('node:fs');
const path = require('node:path');
const { root } = require('../run.js');
const { findPlatformPackage } = require('./platform-package.js');
const { targets } = require('./targets.js');

const ENTRY = 'index.js';
/** The modules that `index.js` and another entry both need. */
const SHARED = 'lib/reconfigure.js';
/** The parts that only a checkout needs. */
const OF_THE_CHECKOUT = ['private', 'napi', 'scripts', 'devDependencies'];

const readManifest = () => JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Where the sources are, for the registry's page; nothing as long as nobody says. */
function whereabouts(repository) {
  if (repository === undefined) return {};
  const { protocol, pathname } = new URL(repository);
  if (protocol !== 'https:' || pathname.endsWith('/')) {
    throw new Error(`--repository: https URL without a slash at its end expected: ${repository}`);
  }
  return {
    homepage: `${repository}#readme`,
    repository: { type: 'git', url: `git+${repository}.git` },
    bugs: { url: `${repository}/issues` },
  };
}

/** The manifest that is published. */
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

const MINIFIED = {
  ...{ platform: 'node', target: 'node20.9', minify: true, lineLimit: 100 },
  legalComments: 'none',
};

/** Fills the folder with what is to be packed. */
function stageMain(folder, { esbuild, repository }) {
  const manifest = mainManifest(repository);
  for (const name of [...manifest.files, 'README.md', 'LICENSE']) {
    const from = path.join(root, name);
    fs.cpSync(from, path.join(folder, name), { recursive: true });
  }
  bundle(folder, esbuild, manifest.version);
  for (const file of fs.readdirSync(folder, { recursive: true })) {
    if (file !== ENTRY && /\.js(on)?$/.test(file)) shrink(path.join(folder, file), esbuild);
  }
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * Puts the files behind `index.js` into it: Node takes up to half a millisecond for each. Those of
 * the other entries stay, and what they need of it.
 */
function bundle(folder, esbuild, version) {
  // All of the manifest that the code asks for.
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ version }));
  const { metafile } = esbuild.buildSync({
    ...MINIFIED,
    ...{ absWorkingDir: folder, entryPoints: [ENTRY], outfile: ENTRY, allowOverwrite: true },
    ...{ bundle: true, format: 'cjs', keepNames: true, metafile: true },
    external: Object.keys(targets).map(findPlatformPackage),
    define: { IS_PUBLISHED: 'true' },
  });
  for (const file of Object.keys(metafile.inputs)) {
    if (![ENTRY, SHARED, 'package.json'].includes(file)) fs.rmSync(path.join(folder, file));
  }
}

/** Comments and white space go, local names get shorter; names that users see stay. */
function shrink(file, esbuild) {
  const text = fs.readFileSync(file, 'utf8');
  const small = file.endsWith('.json')
    ? JSON.stringify(JSON.parse(text))
    : esbuild.transformSync(text, MINIFIED).code;
  fs.writeFileSync(file, small);
}

module.exports = { mainManifest, stageMain, whereabouts };
