'use strict';

// `npm run example` runs a Backstage backend whose plugin calls an API like Kagenti's with tokens
// from a real Keycloak, or with `-- --embedded` from the embedded endpoint. It prints two curl
// commands, the first for a signed-in user and the second without credentials, and runs until
// Ctrl-C; with `--once`, it makes these calls itself and exits.

const { parseArgs } = require('node:util');
const { runMain } = require('../../tools/run.js');
const { setStage } = require('./stage.js');

async function main() {
  const { values } = parseArgs({
    options: { embedded: { type: 'boolean' }, once: { type: 'boolean' } },
  });
  let stage;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => (stage ? stage.end() : process.exit(1)));
  }
  stage = await setStage({ embedded: values.embedded, log: (line) => console.error(line) });
  const { url, user, userToken, api } = stage;
  console.log(`
As ${user}:
  curl -s ${url} -H 'authorization: Bearer ${userToken}'
Without credentials (Backstage answers with 401):
  curl -s ${url}
`);
  if (!values.once) {
    console.log('Press Ctrl-C to stop the example.');
    return;
  }
  for (const [status, headers] of [
    [200, { authorization: `Bearer ${userToken}` }],
    [401, {}],
  ]) {
    const response = await fetch(url, { headers });
    console.log(`${response.status} ${await response.text()}`);
    if (response.status !== status) process.exitCode = 1;
  }
  console.log(`the API saw ${JSON.stringify(api.requests)}`);
  await stage.end();
}

runMain(module, main);
