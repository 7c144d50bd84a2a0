'use strict';

// `npm run demo` demonstrates the package with an embedded token endpoint in under 20 s. With `--
// --keycloak` the first and the last part run with a real Keycloak. Each part checks its claims;
// the exit code is 1 if one of them does not hold.

const { parseArgs } = require('node:util');
const { version } = require('../../package.json');
const parts = require('./parts.js');
const screen = require('./screen.js');
const servers = require('./servers.js');

async function main() {
  const { values } = parseArgs({ options: { keycloak: { type: 'boolean' } } });
  const start = performance.now();
  screen.print(
    `${screen.bold(`keycloak-token-manager ${version}`)} on Node ${process.versions.node}`,
  );
  const server = await (values.keycloak ? servers.startReal() : servers.startEmbedded());
  screen.say(`${server.label}: ${server.tokenEndpoint}`);
  const chosen = values.keycloak ? [parts.firstToken, parts.wrongSecret] : Object.values(parts);
  const totals = {};
  try {
    for (const [index, { title, run }] of chosen.entries()) {
      screen.title(`${index + 1}  ${title}`);
      const { counters } = await run(server);
      for (const [name, value] of Object.entries(counters)) {
        totals[name] = (totals[name] ?? 0) + value;
      }
    }
  } finally {
    await server.stop();
  }
  close(totals, (performance.now() - start) / 1000);
}

function close(totals, seconds) {
  const { hits, joins, acquisitions, retries, staleServed, suppressed } = totals;
  const { kept, broken } = screen.claims;
  const number = (value, what) => `${screen.bold(screen.count(value))} ${what}`;
  screen.title('In all: snapshot() of every manager, added up');
  screen.print(
    `   ${number(hits, 'calls served from a held token')}, ` +
      `${screen.count(staleServed)} of them while it was due,\n` +
      `   ${number(joins, 'joined a request under way')}, ` +
      `${number(suppressed, 'answered by a cool-down')};\n` +
      `   for ${number(acquisitions, 'acquisitions')} and ${number(retries, 'retries')}.`,
  );
  const verdict =
    broken === 0
      ? screen.green(`${kept} of ${kept} claims hold`)
      : screen.red(`${broken} of ${kept + broken} claims do not hold`);
  screen.print(`\n${screen.bold(verdict)}, ${seconds.toFixed(1)} s`);
  if (broken > 0) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
