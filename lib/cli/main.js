'use strict';

// Runs a command. The exit status is 0 without a problem, 1 with one, and 2 for a usage error.

const { UsageError, parse } = require('./arguments.js');

const [OK, PROBLEM, WRONG_USAGE] = [0, 1, 2];

/**
 * Makes every command verify certificates, and tells the commands whether the environment turns
 * verification off.
 */
function verifying(system) {
  const { env } = system;
  const startEnv = { ...env };
  const isVerifying = env.NODE_TLS_REJECT_UNAUTHORIZED !== '0';
  // Node reads the variable for each connection, and the manager reads it when the program creates
  // the manager.
  delete env.NODE_TLS_REJECT_UNAUTHORIZED;
  return { ...system, startEnv, isVerifying };
}

/** Runs the command in `args` and returns the exit status. `system` holds parts of `process`. */
async function main(args, system) {
  try {
    const parsed = parse(args);
    if (parsed.flags.version === true) return print(system, require('../../package.json').version);
    if (parsed.flags.help === true) return print(system, require('./help.js').help());
    return await require('./commands.js')[parsed.command](parsed, verifying(system));
  } catch (error) {
    if (error instanceof UsageError) {
      system.stderr.write(`${error.message}\nkeycloak-token-manager --help lists all flags\n`);
      return WRONG_USAGE;
    }
    system.stderr.write(
      `internal error in keycloak-token-manager; please report it\n${framesOf(error)}`,
    );
    return PROBLEM;
  }
}

/**
 * Returns the stack frames without the error's message, which may contain any text, even lines that
 * look like frames.
 */
function framesOf(error) {
  const stack = `${error?.stack}`;
  const at = stack.indexOf(`${error?.message}\n    at `);
  return at === -1 ? '' : `${stack.slice(at + error.message.length + 1)}\n`;
}

function print({ stdout }, text) {
  stdout.write(`${text.trimEnd()}\n`);
  return OK;
}

module.exports = { main };
