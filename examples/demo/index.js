'use strict';

// `npm run demo` demonstrates the package with an embedded token endpoint in under 20 s.
// `npm run demo -- --keycloak` runs the first and the last two parts with a real Keycloak. Each
// part checks its claims; the exit code is 1 if a claim does not hold.

const { parseArgs } = require('node:util');
const { version } = require('../../package.json');
const { runMain } = require('../../tools/run.js');
const { startRealm } = require('../realm.js');
const parts = require('./parts.js');
const screen = require('./screen.js');

async function main(args) {
  const { values } = parseArgs({ args, options: { keycloak: { type: 'boolean' } } });
  const start = performance.now();
  const name = screen.bold(`keycloak-token-manager ${version}`);
  console.log(`${name} on Node ${process.versions.node}`);
  const server = await startRealm({ embedded: !values.keycloak, log: screen.say });
  screen.say(`token endpoint: ${server.tokenEndpoint}`);
  const chosen = values.keycloak
    ? [parts.firstToken, parts.wrongSecret, parts.doctor]
    : Object.values(parts);
  const totals = {};
  try {
    for (const [index, { title, run }] of chosen.entries()) {
      screen.title(`${index + 1}  ${title}`);
      const { counters } = await run(server);
      for (const [key, value] of Object.entries(counters)) {
        totals[key] = (totals[key] ?? 0) + value;
      }
    }
  } finally {
    await server.stop();
  }
  screen.title('Totals of the counters in the snapshot() of every manager');
  for (const [key, value] of Object.entries(totals)) {
    if (value > 0) screen.row(key, screen.count(value));
  }
  const { kept, broken } = screen.claims;
  const verdict =
    broken === 0
      ? screen.green(`${kept} of ${kept} claims hold`)
      : screen.red(`${broken} of ${kept + broken} claims do not hold`);
  const took = screen.seconds((performance.now() - start) / 1000);
  console.log(`\n${screen.bold(verdict)}, ${took}`);
  if (broken > 0) process.exitCode = 1;
}

runMain(module, main);
