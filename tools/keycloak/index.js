/**
 * Gets and starts a real Keycloak for tests and trials: Java and Maven are needed, containers are
 * not. `node tools/keycloak [version]` runs one in the foreground until Ctrl-C.
 */
'use strict';

const { missingPrerequisites } = require('./prerequisites');
const realm = require('./realm.json');
const { startKeycloak, VERSION } = require('./server');

async function main([version = VERSION]) {
  const keycloak = await startKeycloak({ version, log: (line) => console.error(line) });
  const { clientId, secret } = realm.clients[0];
  console.log(`
Keycloak ${version} (process group ${keycloak.pid})
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

if (require.main === module) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

module.exports = {
  startKeycloak,
  missingPrerequisites: (version = VERSION) => missingPrerequisites(version),
};
