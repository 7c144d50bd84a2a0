/**
 * Downloads and starts a real Keycloak for tests. It needs Java and Maven, but no containers. These
 * commands run the default release or another release in the foreground until Ctrl-C:
 *
 *     npm run keycloak
 *     npm run keycloak -- 24.0.5
 *     npm run keycloak -- 26.7.5 --mode start -- --metrics-enabled=true
 */
'use strict';

const { parseArgs } = require('node:util');

const { runMain } = require('../run.js');
const { missingPrerequisites } = require('./prerequisites');
const realm = require('./realm.json');
const { startKeycloak, VERSION } = require('./server');

/**
 * Runs Keycloak until Ctrl-C. The first argument is the release; options after `--` are for
 * Keycloak.
 */
async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { mode: { type: 'string' } },
  });
  const isOption = (text) => text.startsWith('--');
  const [version = VERSION] = positionals.filter((text) => !isOption(text));
  const options = positionals.filter(isOption);
  const log = (line) => console.error(line);
  const keycloak = await startKeycloak({ version, mode: values.mode, options, log });
  const { clientId, secret } = realm.clients[0];
  console.log(`
Keycloak ${version}
  realm           ${keycloak.realmUrl}
  token endpoint  ${keycloak.tokenEndpoint}
  console         ${keycloak.url}/admin/  (${keycloak.admin.username} / ${keycloak.admin.password})
  health          ${keycloak.managementUrl}/health

Get a token:
  curl -s '${keycloak.tokenEndpoint}' \\
    -d grant_type=client_credentials -d client_id=${clientId} \\
    --data-urlencode 'client_secret=${secret}'

Press Ctrl-C to stop Keycloak.`);
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
