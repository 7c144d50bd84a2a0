'use strict';

// `npm run example` runs a Backstage backend whose plugin calls an API like Kagenti's with tokens
// from a real Keycloak, or with `-- --embedded` from the embedded endpoint. It prints two curl
// commands, the first for a signed-in user and the second without credentials, and runs until
// Ctrl-C; with `--once`, it makes these calls itself and exits. `--replicas 3` runs three backends,
// which share their tokens through a Valkey server, and calls each of them.

const { parseArgs } = require('node:util');
const { runMain } = require('../../tools/run.js');
const { setStage } = require('./stage.js');

async function main() {
  const { values } = parseArgs({
    options: {
      embedded: { type: 'boolean' },
      once: { type: 'boolean' },
      replicas: { type: 'string', default: '1' },
    },
  });
  const replicas = Number(values.replicas);
  if (!Number.isInteger(replicas) || replicas < 1) throw new Error('--replicas: expected a number');
  let stage;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => (stage ? stage.end() : process.exit(1)));
  }
  const log = (line) => console.error(line);
  stage = await setStage({ embedded: values.embedded, replicas, log });
  const { url, urls, user, userToken, api } = stage;
  if (replicas > 1) {
    for (const each of urls) {
      const { status } = await fetch(each, { headers: { authorization: `Bearer ${userToken}` } });
      console.log(`${each}: ${status}`);
    }
    console.log(`${replicas} backends have used ${api.tokens.size} token`);
    if (api.tokens.size !== 1) process.exitCode = 1;
  }
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
