'use strict';

// `npm run bench -- [--quick] [<scenario>]…` runs the scenarios one after the other and prints one
// table. It writes the results of a complete run to `results/`, with a plot. The exit code is 1 if
// a figure missed its bar.

const os = require('node:os');
const { parseArgs } = require('node:util');
const { makeCertificates } = require('../tools/certificates.js');
const { runMain } = require('../tools/run.js');
const { runChild } = require('./child.js');
const { keep, keepMemory } = require('./results.js');
const { installRivals } = require('./rivals/index.js');
const { formatTable, isMet } = require('./table.js');

const SCENARIO_LIMIT_MS = 300_000;

/** The scenarios, in the order of the table. */
const names = [
  'cached',
  'telemetry',
  'acquisition',
  'first-token',
  'load',
  'expiry',
  'herd',
  'managers',
  'many-tokens',
  'store',
  'requests',
  'outage',
  'fetch',
  'faults',
];

/** Runs a scenario in its own process; a failure becomes its result. */
async function runScenario(name, settings, authorityFile) {
  const start = performance.now();
  process.stdout.write(`${name} … `);
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: authorityFile };
  const options = { env, timeout: SCENARIO_LIMIT_MS };
  const result = await runChild('scenario', { name, ...settings }, options).catch(
    ({ message }) => ({ title: name, error: message }),
  );
  const seconds = (performance.now() - start) / 1000;
  console.log(`${seconds.toFixed(1)} s`);
  return { name, seconds, ...result };
}

function describeMachine() {
  const [first, ...others] = os.cpus();
  return {
    cpu: `${others.length + 1} × ${first.model.trim()}`,
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()}`,
    loadAverage: Number(os.loadavg()[0].toFixed(2)),
    node: process.versions.node,
    package: require('../package.json').version,
  };
}

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { quick: { type: 'boolean' } },
  });
  const { quick = false } = values;
  const chosen = positionals.length > 0 ? positionals : names;
  const isKept = !quick && positionals.length === 0;
  const unknown = chosen.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new Error(`Unknown scenario: ${unknown.join(', ')}. Scenarios: ${names.join(', ')}.`);
  }

  const date = new Date().toISOString().slice(0, 10);
  const machine = describeMachine();
  console.log(
    `keycloak-token-manager ${machine.package}, Node ${machine.node}, ${machine.system}, ` +
      `${machine.cpu}, ${machine.memoryGib} GiB, load ${machine.loadAverage}` +
      (quick ? '. Quick: few rounds, for a first look.\n' : '\n'),
  );
  const scenarios = [];
  const { server: tls, ca } = makeCertificates();
  const settings = { quick, isKept, date, machine, tls };
  for (const name of chosen) scenarios.push(await runScenario(name, settings, ca.certFile));

  console.log(`\n${formatTable(scenarios)}\n`);
  const bars = scenarios
    .flatMap(({ rows = [] }) => rows.map(isMet))
    .filter((met) => met !== undefined);
  const missed = bars.filter((met) => !met).length;
  const failed = scenarios.filter(({ error }) => error).length;
  console.log(
    `${bars.length - missed} of ${bars.length} bars met` +
      (failed > 0 ? `, ${failed} scenarios failed.` : '.'),
  );
  if (isKept) {
    await installRivals();
    await keep({ date, machine, scenarios });
    console.log('The results are in bench/results, with a plot.');
  }
  const memory = scenarios.find((scenario) => scenario.memory !== undefined)?.memory;
  if (!quick && memory !== undefined) {
    await installRivals();
    await keepMemory(memory);
  }
  if (missed + failed > 0) process.exitCode = 1;
}

runMain(module, main);
