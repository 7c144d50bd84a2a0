/** Finds Java and Maven, and describes how to install a missing program. */
'use strict';

const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');

const { unpackedFolder } = require('./cache');

const OLDEST_JAVA = 17;

/** Returns the major version of the Java that `kc.sh` runs, or 0 if Java is missing. */
function javaVersion() {
  const { JAVA, JAVA_HOME } = process.env;
  const command = JAVA ?? (JAVA_HOME ? path.join(JAVA_HOME, 'bin', 'java') : 'java');
  const { stderr } = spawnSync(command, ['-version'], { encoding: 'utf8' });
  return Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0);
}

/**
 * Describes the prerequisites of this version that the machine lacks; `undefined` if the machine
 * lacks none.
 */
function missingPrerequisites(version) {
  if (process.platform === 'win32') {
    return 'Keycloak needs a POSIX system (kc.sh, process groups): use Linux, macOS or WSL';
  }
  const missing = [];
  if (javaVersion() < OLDEST_JAVA) {
    missing.push(
      `Java ${OLDEST_JAVA} or newer is missing: install a JDK, for instance with ` +
        '"apt-get install openjdk-17-jdk-headless" or "brew install openjdk", or set JAVA_HOME',
    );
  }
  const hasMaven = !spawnSync('mvn', ['-v'], { stdio: 'ignore' }).error;
  if (!existsSync(unpackedFolder(version)) && !hasMaven) {
    missing.push(
      'Maven (mvn), which downloads Keycloak, is missing: install it, for instance with ' +
        '"apt-get install maven" or "brew install maven"',
    );
  }
  return missing.length > 0 ? missing.join('; ') : undefined;
}

module.exports = { javaVersion, missingPrerequisites };
