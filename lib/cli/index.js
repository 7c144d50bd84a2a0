#!/usr/bin/env node
'use strict';

// The program `keycloak-token-manager`. Exit status: 0 without a problem, 1 with one, 2 for wrong
// usage.

const { UsageError, parse } = require('./arguments.js');

const WRONG_USAGE = 2;

/** What the commands use of the process. Every command verifies certificates. */
function systemOf({ env, stdin, stdout, stderr }) {
  const startEnv = { ...env };
  const isVerifying = env.NODE_TLS_REJECT_UNAUTHORIZED !== '0';
  // Node reads the variable at each connection, and the manager at its creation.
  delete env.NODE_TLS_REJECT_UNAUTHORIZED;
  return { env, startEnv, isVerifying, stdin, stdout, stderr, cwd: process.cwd() };
}

async function main(args) {
  const system = systemOf(process);
  try {
    const parsed = parse(args);
    if (parsed.flags.version === true) {
      system.stdout.write(`${require('../../package.json').version}\n`);
      return 0;
    }
    if (parsed.flags.help === true) {
      system.stdout.write(require('./help.js').help());
      return 0;
    }
    return await require('./commands.js')[parsed.command](parsed, system);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    system.stderr.write(`${error.message}\nkeycloak-token-manager --help lists all flags\n`);
    return WRONG_USAGE;
  }
}

/** Waits until the stream has passed on everything. */
const flushed = (stream) => new Promise((resolve) => stream.write('', resolve));

main(process.argv.slice(2)).then(async (status) => {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // A name look-up that hangs would keep the process alive.
  process.exit(status);
});
