'use strict';

// The text of `--help`.

const { options } = require('./options.js');

const WIDTH = 30;
const HEAD = `Usage: keycloak-token-manager <command> [flags]

Commands
  doctor    checks step by step what a token needs, and says what to do
  token     prints an access token
  decode    explains the access token on the standard input

Flags`;

const OWN = [
  ['--config FILE', 'reads the options from a Backstage configuration; you can repeat the flag'],
  ['--key KEY', 'section of that configuration (default: boost.kagenti.auth)'],
  ['--api URL', 'doctor: also sends a GET request with the token to this API'],
  ['--show-token', 'doctor: also prints the token'],
  ['--json', 'doctor, decode: prints JSON'],
  ['--version', 'prints the version'],
  ['-h, --help', 'prints this text'],
];

const TAIL = `
Exit status: 0 if there is no problem (warnings included), 1 for a problem, 2 for wrong usage.

Without --config, an environment variable can replace each flag: KEYCLOAK_TOKEN_ENDPOINT replaces
--token-endpoint. A flag takes precedence. Secrets come from files, variables or a prompt, never from
flags. Other variables: `;

const VALUES = { text: ' VALUE', integer: ' NUMBER', list: ' VALUE', record: ' NAME=VALUE' };

function help() {
  const derived = options
    .filter(({ hasFlag }) => hasFlag)
    .map(({ flag, form, summary }) => [`--${flag}${VALUES[form] ?? ''}`, summary]);
  const rows = [...OWN, ...derived].map(([flag, text]) => `  ${flag.padEnd(WIDTH)} ${text}`);
  const variables = options.filter(({ hasFlag }) => !hasFlag).map(({ variable }) => variable);
  return `${HEAD}\n${rows.join('\n')}\n${TAIL}${wrap(variables)}.\n`;
}

/** Puts the names, separated by commas, into lines that fit a terminal. */
const wrap = (names) => `\n${names.join(', ').replace(/(.{1,90}), /g, '$1,\n')}`;

module.exports = { help };
