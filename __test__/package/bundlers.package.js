'use strict';

// The packages of dist/ in bundles, and under other runtimes. Each row builds and runs a small
// program that gets a token. `docs/bundlers-and-runtimes.md` has a row with the same name.

const assert = require('node:assert/strict');
const { cpSync, readFileSync, renameSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { pinnedPackages } = require('../../tools/pinned-packages.js');
const { ownTarget } = require('../../tools/package/targets.js');
const { ROOT, installByHand, readMain, readOwnPlatform } = require('./support/dist.js');
const { LIMIT_MS, checkOutput, makeProject } = require('./support/project.js');

const BANNER =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
const DENO_PERMISSIONS = ['--allow-ffi', '--allow-read', '--allow-env', '--allow-net'];

/** A script that builds with webpack, or with rspack, which has the same interface. */
const webpackScript = (compiler, options) => `
  import('${compiler}').then(({ default: build, rspack = build }) => rspack({
    mode: 'production',
    target: 'node',
    context: __dirname,
    entry: './commonjs.cjs',
    output: { path: __dirname + '/out', filename: 'app.cjs' },
    ${options}
  }, (error, stats) => {
    const errors = error ? [error] : stats.toJson().errors;
    for (const { message } of errors) console.error(message);
    process.exitCode = errors.length;
  }));`;
const nodeLoader = (packages) =>
  `module: { rules: [{ test: /\\.node$/, loader: '${packages}/node-loader/dist/cjs.js' }] },`;
const EXTERNALS = `externals: { 'keycloak-token-manager': 'commonjs keycloak-token-manager',
  'keycloak-token-manager/testing': 'commonjs keycloak-token-manager/testing' },`;

const rollupConfig = (packages) => `
  import commonjs from '${packages}/@rollup/plugin-commonjs/dist/es/index.js';
  import { nodeResolve } from '${packages}/@rollup/plugin-node-resolve/dist/es/index.js';
  export default {
    input: 'esm.mjs',
    external: [/^keycloak-token-manager/, /^node:/],
    output: { file: 'out/app.mjs' },
    plugins: [nodeResolve(), commonjs()],
  };`;
const rolldownConfig = (options) => `
  export default {
    input: 'esm.mjs',
    platform: 'node',
    output: { dir: 'out', entryFileNames: 'app.mjs' },
    ${options}
  };`;

/** A Next.js route that answers with the program's output. */
const nextRoute = (program) => `
  export const dynamic = 'force-dynamic';
  export async function GET() {
    let output;
    const print = (text) => { output = text; };
    ${program.replace('console.log', 'print').replace(/^import .*$/gm, '')}
    return new Response(output);
  }`;
const NEXT_CLIENT = `
  const { spawn } = require('node:child_process');
  const server = spawn(process.execPath, ['.next/standalone/server.js'], {
    env: { ...process.env, PORT: '0', HOSTNAME: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  server.stdout.on('data', async (data) => {
    said += data;
    const [url] = /http:\\/\\/127\\.0\\.0\\.1:\\d+/.exec(said) ?? [];
    if (url === undefined || server.isAsked) return;
    server.isAsked = true;
    console.log(await (await fetch(url + '/token')).text());
    server.kill();
  });`;

const node = (...args) => [process.execPath, ...args];
const bunProgram = (packages) => `${packages}/@oven/bun-linux-x64/bin/bun`;
const denoProgram = (packages) => `${packages}/@deno/linux-x64-glibc/deno`;
const esbuild = (entry, out, ...args) => ({
  packages: 'bundlers',
  build: (packages) => [
    node(`${packages}/esbuild/bin/esbuild`, entry, '--bundle', '--platform=node', ...args),
  ],
  run: () => node(out),
});
const script = (compiler, options) => ({
  packages: 'bundlers',
  files: (packages) => ({ 'build.cjs': webpackScript(packages + compiler, options(packages)) }),
  build: () => [node('build.cjs')],
  run: () => node('out/app.cjs'),
});
const rolldown = (options) => ({
  packages: 'bundlers',
  files: () => ({ 'rolldown.config.mjs': rolldownConfig(options) }),
  build: (packages) => [node(`${packages}/rolldown/bin/cli.mjs`, '-c', 'rolldown.config.mjs')],
  run: () => node('out/app.mjs'),
});
const runtime = (run) => ({ packages: 'runtimes', build: () => [], run });

/**
 * `build` and `run` get the folder with the installed bundlers. A row with `isWhole` runs the
 * bundle without `node_modules`; a row with `isLong` runs only in `npm run test:long`.
 */
const rows = {
  esbuild: {
    ...esbuild('commonjs.cjs', 'out/app.cjs', '--loader:.node=copy', '--outfile=out/app.cjs'),
    isWhole: true,
  },
  'esbuild, ES module': {
    ...esbuild(
      ...['esm.mjs', 'out/app.mjs', '--loader:.node=copy', '--outfile=out/app.mjs'],
      ...['--format=esm', `--banner:js=${BANNER}`],
    ),
    isWhole: true,
  },
  'esbuild, external': esbuild(
    ...[
      'commonjs.cjs',
      'out/app.cjs',
      '--outfile=out/app.cjs',
      '--external:keycloak-token-manager',
    ],
  ),
  webpack: { ...script('/webpack/lib/index.js', nodeLoader), isWhole: true },
  'webpack, external': script('/webpack/lib/index.js', () => EXTERNALS),
  rspack: { ...script('/@rspack/core/dist/index.js', nodeLoader), isWhole: true },
  'rspack, external': script('/@rspack/core/dist/index.js', () => EXTERNALS),
  rollup: {
    packages: 'bundlers',
    files: (packages) => ({ 'rollup.config.mjs': rollupConfig(packages) }),
    build: (packages) => [node(`${packages}/rollup/dist/bin/rollup`, '-c', 'rollup.config.mjs')],
    run: () => node('out/app.mjs'),
  },
  rolldown: { ...rolldown("moduleTypes: { '.node': 'copy' },"), isWhole: true },
  'rolldown, external': rolldown('external: [/^keycloak-token-manager/],'),
  ncc: {
    packages: 'bundlers',
    isWhole: true,
    build: (packages) => [
      node(`${packages}/@vercel/ncc/dist/ncc/cli.js`, 'build', 'commonjs.cjs', '-o', 'out'),
    ],
    run: () => node('out/index.cjs'),
  },
  'bun build': {
    packages: 'runtimes',
    isWhole: true,
    build: (packages) => [
      [bunProgram(packages), 'build', 'esm.mjs', '--target=bun', '--outdir=out'],
    ],
    run: (packages) => [bunProgram(packages), 'out/esm.js'],
  },
  'bun build --compile': {
    packages: 'runtimes',
    isWhole: true,
    build: (packages) => [
      [bunProgram(packages), 'build', 'esm.mjs', '--compile', '--outfile=out/app'],
    ],
    run: () => ['out/app'],
  },
  'Next.js': {
    packages: 'next',
    isLong: true,
    files: (_packages, programs) => ({
      'next.config.mjs': `export default {
        output: 'standalone', serverExternalPackages: ['keycloak-token-manager'] };`,
      'app/layout.js': `export default ({ children }) => (
        <html lang="en"><body>{children}</body></html>);`,
      'app/token/route.js': programs['esm.mjs']
        .match(/^import .*$/gm)
        .join('\n')
        .concat(nextRoute(programs['esm.mjs'])),
      'client.cjs': NEXT_CLIENT,
    }),
    build(packages, folder) {
      cpSync(packages, path.join(folder, 'node_modules'), { recursive: true });
      return [node('node_modules/next/dist/bin/next', 'build')];
    },
    run: () => node('client.cjs'),
  },
  Bun: runtime((packages) => [bunProgram(packages), 'commonjs.cjs']),
  'Bun, ES module': runtime((packages) => [bunProgram(packages), 'esm.mjs']),
  Deno: runtime((packages) => [denoProgram(packages), 'run', ...DENO_PERMISSIONS, 'commonjs.cjs']),
  'Deno, ES module': runtime((packages) => [
    ...[denoProgram(packages), 'run', ...DENO_PERMISSIONS, 'esm.mjs'],
  ]),
};

const isFull = process.env.BUNDLERS === 'all';
const isSupported = ownTarget() === 'linux-x64-gnu';

describe('the published packages', { timeout: 10 * LIMIT_MS }, () => {
  for (const [name, row] of Object.entries(rows)) {
    if (row.isLong && !isFull) continue;
    const skip =
      row.packages === 'runtimes' && !isSupported && 'this runtime is tested on Linux x64 alone';
    it(`obtain a token with ${name}`, { skip }, async (t) => {
      const from = path.join(__dirname, 'dependencies', row.packages);
      const packages = await pinnedPackages(row.packages, from);
      const project = makeProject(t);
      for (const [file, content] of Object.entries(row.files?.(packages, project.files) ?? {})) {
        project.write(file, content);
      }
      installByHand(project.folder, readMain(), readOwnPlatform());
      const env = { DENO_DIR: path.join(project.folder, '.deno'), NEXT_TELEMETRY_DISABLED: '1' };
      for (const [program, ...args] of row.build(packages, project.folder)) {
        await project.run(program, args, { env });
      }
      if (row.isWhole) {
        const installed = path.join(project.folder, 'node_modules');
        renameSync(installed, `${installed}-away`);
      }
      const [program, ...args] = row.run(packages);
      checkOutput(await project.run(program, args, { env }));
    });
  }

  it('have a row in the document for each bundler and runtime', () => {
    const document = readFileSync(path.join(ROOT, 'docs', 'bundlers-and-runtimes.md'), 'utf8');
    const documented = Array.from(document.matchAll(/^\| ([^|]+?) \|/gm), ([, name]) => name);
    assert.deepEqual(
      Object.keys(rows).filter((name) => !documented.includes(name)),
      [],
    );
  });
});
