'use strict';

// The text of `--help`.

const { options } = require('./options.js');

const COLUMNS = 100;
const INDENT = 6;
/** Summaries of options that have another form on the command line. */
const SUMMARIES = {
  scope: 'Scopes to request (RFC 6749 §3.3), separated by spaces; you can repeat the flag.',
  tokenFetch: 'Sends token and discovery requests with the global fetch, instead of natively.',
};
const HEAD = `Usage: keycloak-token-manager <command> [flags]

Commands
  doctor    checks step by step what a token request needs, and says how to solve a problem
  token     prints an access token
  decode    explains the access token on the standard input

Flags`;

const OWN = [
  [
    '--config FILE',
    'Reads the options from a Backstage configuration file; you can repeat the flag.',
  ],
  ['--key KEY', 'Section of the configuration (default: boost.kagenti.auth).'],
  ['--api URL', 'doctor: also sends a GET request with the token to this API.'],
  ['--show-token', 'doctor: also prints the token.'],
  ['--json', 'doctor, decode: prints JSON.'],
  ['--version', 'Prints the version.'],
  ['-h, --help', 'Prints this text.'],
];

const TAIL = `
Exit status: 0 if all is well or there are only warnings, 1 for a problem, 2 for wrong usage.

Without --config, environment variables set the same options as the flags: for --token-endpoint, the
variable is KEYCLOAK_TOKEN_ENDPOINT. Flags take precedence. No flag takes a secret: use a file, a
variable or the prompt. These options have only a variable:
  `;

const VALUES = { text: ' VALUE', integer: ' NUMBER', list: ' VALUE', record: ' NAME=VALUE' };

function help() {
  const derived = options
    .filter(({ hasFlag }) => hasFlag)
    .map(({ name, flag, form, summary }) => [
      `--${flag}${VALUES[form] ?? ''}`,
      SUMMARIES[name] ?? summary,
    ]);
  const rows = [...OWN, ...derived].map(row);
  const variables = options.filter(({ hasFlag }) => !hasFlag).map(({ variable }) => variable);
  return `${HEAD}\n${rows.join('\n')}\n${TAIL}${variables.join('\n  ')}\n`;
}

/** Returns a flag and, below it, its text, in lines that fit a terminal. */
function row([flag, text]) {
  const line = new RegExp(`(.{1,${COLUMNS - INDENT}})(?: |$)`, 'g');
  const lines = Array.from(text.matchAll(line), ([, part]) => `${' '.repeat(INDENT)}${part}`);
  return [`  ${flag}`, ...lines].join('\n');
}

module.exports = { help };
