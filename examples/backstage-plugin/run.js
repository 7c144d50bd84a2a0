'use strict';

// `npm run example` runs a Backstage backend. Its plugin calls an API like Kagenti's as the
// service, and a second API as the user. The tokens come from a real Keycloak, or from the embedded
// endpoint with `-- --embedded`. The example prints curl commands and runs until Ctrl-C; with
// `--once`, it makes these calls itself and exits. `--replicas 3` runs three backends, which share
// their tokens through a Valkey server, and calls each of them.

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
  const { url, urls, runsUrl, signOutUrl, user, userToken, keycloakToken, api, runsApi } = stage;
  if (replicas > 1) {
    for (const each of urls) {
      const { status } = await fetch(each, { headers: { authorization: `Bearer ${userToken}` } });
      console.log(`${each}: ${status}`);
    }
    console.log(`${replicas} backends have used ${api.tokens.size} token`);
    if (api.tokens.size !== 1) process.exitCode = 1;
  }
  const asUser = { authorization: `Bearer ${userToken}` };
  const inSession = { ...asUser, 'x-keycloak-token': keycloakToken };
  const calls = [
    [`The service calls the agents API for ${user}`, 200, url, asUser],
    ['Without credentials, Backstage answers with 401', 401, url, {}],
    ['The user calls the runs API', 200, runsUrl, inSession],
    ["Without the user's Keycloak token, the plugin answers with 401", 401, runsUrl, asUser],
  ];
  for (const [title, , to, headers] of calls) {
    const options = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${value}'`);
    console.log(`\n${title}:\n  curl -s ${to}${options.join('')}`);
  }
  if (!values.once) {
    console.log('\nPress Ctrl-C to stop the example.');
    return;
  }
  for (const call of calls) await check(call);
  await stage.endSession();
  await check(['The user signs out', 204, signOutUrl, inSession, 'POST']);
  await check(['After that, the plugin answers with 401', 401, runsUrl, inSession]);
  console.log(`\nthe agents API saw ${JSON.stringify(api.requests)}`);
  console.log(`the runs API saw ${JSON.stringify(runsApi.requests)}`);
  await stage.end();
}

async function check([title, status, url, headers, method = 'GET']) {
  const response = await fetch(url, { method, headers });
  console.log(`\n${title}:\n${response.status} ${await response.text()}`);
  if (response.status !== status) process.exitCode = 1;
}

runMain(module, main);
