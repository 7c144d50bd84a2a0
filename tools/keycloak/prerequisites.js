/** Finds Java and Maven, and describes what is missing and how to install it. */
'use strict';

const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');

const { unpackedFolder } = require('./cache');

const OLDEST_JAVA = 17;

/** The program that `kc.sh` runs: from `JAVA`, `JAVA_HOME` or `PATH`, in this order. */
function javaCommand() {
  if (process.env.JAVA) return process.env.JAVA;
  return process.env.JAVA_HOME ? path.join(process.env.JAVA_HOME, 'bin', 'java') : 'java';
}

/** Java's major version, or `undefined` if Java is missing. */
function javaVersion() {
  const { error, stderr } = spawnSync(javaCommand(), ['-version'], { encoding: 'utf8' });
  const found = error ? null : /version "(\d+)/.exec(stderr);
  return found ? Number(found[1]) : undefined;
}

function hasMaven() {
  return !spawnSync('mvn', ['-v'], { stdio: 'ignore' }).error;
}

/** The prerequisites of this version that the machine lacks, as one text, or `undefined`. */
function missingPrerequisites(version) {
  if (process.platform === 'win32') {
    return 'a POSIX system is needed (kc.sh, process groups): use Linux, macOS or WSL';
  }
  const missing = [];
  const java = javaVersion();
  if (java === undefined || java < OLDEST_JAVA) {
    const seen = java === undefined ? `none at ${javaCommand()}` : `found ${java}`;
    missing.push(
      `Java ${OLDEST_JAVA} or newer is needed (${seen}): install a JDK, for instance with ` +
        '"apt-get install openjdk-17-jdk-headless" or "brew install openjdk", or set JAVA_HOME',
    );
  }
  if (!existsSync(unpackedFolder(version)) && !hasMaven()) {
    missing.push(
      'Maven (mvn) is needed to download Keycloak: install it, for instance with ' +
        '"apt-get install maven" or "brew install maven"',
    );
  }
  return missing.length > 0 ? missing.join('; ') : undefined;
}

module.exports = { javaVersion, missingPrerequisites };
