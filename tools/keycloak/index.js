/**
 * Downloads and starts a real Keycloak for tests. It needs Java and Maven, but no containers. These
 * commands run the default release or another one in the foreground until Ctrl-C:
 *
 *     npm run keycloak
 *     npm run keycloak -- 24.0.5
 *     npm run keycloak -- --version 26.7.5 --mode start -- --metrics-enabled=true
 */
'use strict';

const { parseArgs } = require('node:util');

const { runMain } = require('../run.js');
const { missingPrerequisites } = require('./prerequisites');
const realm = require('./realm.json');
const { startKeycloak, VERSION } = require('./server');

/** The release is the first argument or `--version`; options after `--` are for Keycloak. */
function choiceOf(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { version: { type: 'string' }, mode: { type: 'string' } },
  });
  const isOption = (text) => text.startsWith('--');
  const [named, ...more] = positionals.filter((text) => !isOption(text));
  if (more.length > 0) throw new Error(`unknown argument "${more[0]}"`);
  const version = values.version ?? named ?? VERSION;
  return { version, mode: values.mode, options: positionals.filter(isOption) };
}

async function main(args) {
  const choice = choiceOf(args);
  const keycloak = await startKeycloak({ ...choice, log: (line) => console.error(line) });
  const { clientId, secret } = realm.clients[0];
  console.log(`
Keycloak ${choice.version}
  realm           ${keycloak.realmUrl}
  token endpoint  ${keycloak.tokenEndpoint}
  console         ${keycloak.url}/admin/  (${keycloak.admin.username} / ${keycloak.admin.password})
  health          ${keycloak.managementUrl}/health

Get a token:
  curl -s '${keycloak.tokenEndpoint}' \\
    -d grant_type=client_credentials -d client_id=${clientId} \\
    --data-urlencode 'client_secret=${secret}'

Ctrl-C stops it.`);
  const alive = setInterval(() => {}, 60_000);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      clearInterval(alive);
      keycloak.stop();
    });
  }
}

runMain(module, main);

module.exports = {
  startKeycloak,
  VERSION,
  missingPrerequisites: (version = VERSION) => missingPrerequisites(version),
};
