'use strict';

// Parses the arguments. A message about an argument names the flag and never repeats a value,
// because a value may be a secret.

const { parseArgs } = require('node:util');
const { groupOf, options } = require('./options.js');

const COMMANDS = ['doctor', 'token', 'decode'];

/** The flags that are not options of a manager, with the commands that accept them. */
const OWN_FLAGS = {
  help: { type: 'boolean', short: 'h', commands: COMMANDS },
  version: { type: 'boolean', commands: [] },
  json: { type: 'boolean', commands: ['doctor', 'decode'] },
  config: { type: 'string', multiple: true, commands: ['doctor', 'token'] },
  key: { type: 'string', commands: ['doctor', 'token'] },
  api: { type: 'string', commands: ['doctor'] },
  'show-token': { type: 'boolean', commands: ['doctor'] },
};

/** The error for a mistake in the arguments. It ends the program with status 2. */
class UsageError extends Error {
  isUsage = true;
}

const isMultiple = (form) => form === 'list' || form === 'record';

function definitions() {
  const own = Object.entries(OWN_FLAGS).map(([flag, { commands: _, ...definition }]) => [
    flag,
    definition,
  ]);
  const derived = options
    .filter(({ hasFlag }) => hasFlag)
    .map(({ flag, form }) => [
      flag,
      { type: form === 'boolean' ? 'boolean' : 'string', multiple: isMultiple(form) },
    ]);
  return Object.fromEntries([...own, ...derived]);
}

/** Returns `{ command, flags, given }`. `given` contains the manager's options that flags set. */
function parse(args) {
  const known = definitions();
  const { values, positionals, tokens } = parseArgs({
    args,
    options: known,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) if (token.kind === 'option') checkFlag(token, known);
  const [command, ...others] = positionals;
  if (values.version === true || values.help === true) return { command, flags: values, given: {} };
  if (command === undefined) {
    throw new UsageError(`expected a command, one of ${COMMANDS.join(', ')}`);
  }
  if (!COMMANDS.includes(command)) {
    throw new UsageError(
      `the first argument is not a command; expected one of ${COMMANDS.join(', ')}`,
    );
  }
  if (others.length > 0) {
    throw new UsageError(`${command} takes no arguments except flags, which start with --`);
  }
  for (const name of Object.keys(values)) checkCommand(command, name);
  if (values.key !== undefined && values.config === undefined) {
    throw new UsageError(
      '--key needs --config with the configuration file that contains the section',
    );
  }
  return { command, flags: values, given: readFlags(values) };
}

function checkFlag({ name, rawName, value }, known) {
  const secret = options.find(({ flag, hasFlag }) => flag === name && !hasFlag);
  if (secret !== undefined) throw new UsageError(whyNoFlag(secret));
  const definition = Object.hasOwn(known, name) ? known[name] : undefined;
  if (definition === undefined) {
    const shown = /^--?[a-z-]{1,40}$/.test(rawName) ? `unknown flag ${rawName}` : 'unknown flag';
    throw new UsageError(shown);
  }
  if (definition.type === 'boolean' && value !== undefined) {
    throw new UsageError(`--${name} takes no value`);
  }
  // The parser takes the next flag as the value of a flag without a value.
  if (definition.type === 'string' && (value ?? '').replace(/^--.*/, '') === '') {
    throw new UsageError(`--${name} needs a value`);
  }
}

function whyNoFlag({ flag, variable, hasFile, isSecret, name }) {
  const reason = isSecret
    ? 'other users of this machine can read the arguments of a process'
    : 'its value has several lines';
  const file = hasFile ? `--${flag}-file or ` : '';
  const prompt = name === 'clientSecret' ? ', or omit the credential to get a prompt' : '';
  return (
    `--${flag} is not a flag, because ${reason}; ` +
    `use ${file}the environment variable ${variable}${prompt}`
  );
}

function checkCommand(command, name) {
  const { commands } = OWN_FLAGS[name] ?? { commands: ['doctor', 'token'] };
  if (!commands.includes(command)) throw new UsageError(`${command} has no flag --${name}`);
}

function readFlags(values) {
  const given = {};
  for (const { name, flag, form } of options) {
    if (values[flag] !== undefined) given[name] = convert(values[flag], form, `--${flag}`);
  }
  if (given.proxy !== undefined && hasPassword(given.proxy)) {
    throw new UsageError(
      '--proxy must not contain a user name or password, because other users of this machine can ' +
        'read the arguments of a process; use the environment variable KEYCLOAK_PROXY',
    );
  }
  return given;
}

const hasPassword = (proxy) => typeof proxy === 'string' && proxy.includes('@');

function convert(value, form, source) {
  switch (form) {
    case 'boolean':
      if (![true, false, 'true', 'false'].includes(value)) {
        throw new UsageError(`${source}: expected true or false`);
      }
      return value === true || value === 'true';
    case 'integer':
      if (!/^\d+$/.test(value)) throw new UsageError(`${source}: expected an integer`);
      return Number(value);
    case 'list':
      return Array.isArray(value) ? value.join(' ') : value;
    case 'record':
      return Array.isArray(value) ? pairs(value, source) : record(value, source);
    default:
      // The option `proxy` is a URL or `false`.
      return value === 'false' ? false : value;
  }
}

function pairs(values, source) {
  return Object.fromEntries(
    values.map((value) => {
      const at = value.indexOf('=');
      if (at < 1) throw new UsageError(`${source}: expected NAME=VALUE`);
      return [value.slice(0, at), value.slice(at + 1)];
    }),
  );
}

function record(text, source) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would repeat a part of the text, which may be secret.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${source}: expected a JSON object of strings`);
  }
  return value;
}

/**
 * Returns the options that environment variables set. If a flag sets an option of a group, the
 * function ignores the group's variables. An empty variable counts as absent.
 */
function readVariables(env, given) {
  const found = {};
  for (const { name, variable, form } of options) {
    const isReplaced = groupOf(name).some((member) => Object.hasOwn(given, member));
    if (isReplaced || !env[variable]) continue;
    found[name] = convert(env[variable], form, variable);
  }
  return found;
}

module.exports = { COMMANDS, OWN_FLAGS, UsageError, parse, readVariables };
