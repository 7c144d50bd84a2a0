'use strict';

// Arguments: token endpoint, further options as JSON, variables to set at run time as JSON, a user
// to switch to. Prints whether the manager got a token, and its error or log lines.

const { open, tell } = require('./program.js');

async function main(options) {
  const warnings = [];
  const logger = { error() {}, warn: (line) => warnings.push(line), info() {}, debug() {} };
  const manager = open({ ...options, logger });
  const outcome = await manager.getToken().then(
    (token) => ({ token: typeof token }),
    ({ code, message }) => ({ code, message }),
  );
  tell({ ...outcome, warnings });
}

Object.assign(process.env, JSON.parse(process.argv[4] ?? '{}'));
if (process.argv[5]) process.setuid(Number(process.argv[5]));
main(JSON.parse(process.argv[3] ?? '{}'));
