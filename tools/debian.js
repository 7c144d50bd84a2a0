'use strict';

// Unpacks packages of Debian 13 into a folder, and installs nothing. The programs in the packages
// also run on other Linux systems, with the C library and the loader from the folder.

const { existsSync } = require('node:fs');
const { mkdir, rm, writeFile } = require('node:fs/promises');
const path = require('node:path');
const { run } = require('./run.js');

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const RELEASE = 'trixie';

const quiet = (command, args, env) => run(command, args, { capture: true, env });

/** Downloads packages of Debian 13 from this system's mirror, and unpacks them into the folder. */
async function unpackDebian(packages, folder) {
  const sites = await quiet('apt-get', ['indextargets', '--format', '$(SITE)', 'Component: main']);
  const site = sites.split('\n').find((line) => line.endsWith('/debian'));
  if (site === undefined) throw new Error('no mirror of Debian is configured');
  const apt = path.join(folder, 'apt');
  for (const name of ['lists/partial', 'cache/archives/partial', 'archives']) {
    await mkdir(path.join(apt, name), { recursive: true });
  }
  const source = `deb [signed-by=${KEYRING}] ${site} ${RELEASE} main\n`;
  await writeFile(path.join(apt, 'sources'), source);
  await writeFile(path.join(apt, 'status'), '');
  const config = path.join(apt, 'apt.conf');
  await writeFile(
    config,
    `APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Cache "${apt}/cache";
Dir::Etc::SourceList "${apt}/sources";
Dir::Etc::SourceParts "-";
Dir::State::Lists "${apt}/lists";
Dir::State::Status "${apt}/status";
`,
  );
  // The second command downloads into the current folder.
  const script =
    'apt-get update --quiet && cd "$0" && apt-get download --quiet "$@" && ' +
    'for file in *.deb; do dpkg-deb --extract "$file" ../..; done';
  const archives = path.join(apt, 'archives');
  await quiet('sh', ['-e', '-c', script, archives, ...packages], { APT_CONFIG: config });
  await rm(apt, { recursive: true });
}

/**
 * Whether this system can verify and unpack Debian's packages, and run the programs in the packages
 * for x64.
 */
function canUnpackDebian() {
  return process.platform === 'linux' && process.arch === 'x64' && existsSync(KEYRING);
}

module.exports = { canUnpackDebian, unpackDebian };
