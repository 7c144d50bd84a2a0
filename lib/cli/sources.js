'use strict';

// Collects a manager's options: from flags, and from a section of a Backstage configuration or,
// without one, from environment variables. Flags take precedence.

const fs = require('node:fs');
const { readVariables } = require('./arguments.js');
const { groupOf, options: known, secretNames } = require('./options.js');
const { prompt } = require('./prompt.js');

const CREDENTIALS = groupOf('clientSecret');
/** The environment variable of each option. */
const variables = new Map(known.map(({ name, variable }) => [name, variable]));
/** The options without a flag. If `given` contains one, it is the user's answer to the prompt. */
const withoutFlag = known.filter(({ hasFlag }) => !hasFlag).map(({ name }) => name);
/** The options that name a file with a secret. */
const SECRET_FILES = [
  'clientSecretFile',
  'privateKeyFile',
  'clientKeyFile',
  'clientAssertionFile',
  'dpopKeyFile',
];

/**
 * Returns `{ options, sources, notes, missing }`. `sources` says where the options come from, and
 * `missing` names variables of the configuration.
 */
async function collect({ flags, given }, { env, cwd }) {
  if (flags.config === undefined) {
    const options = { ...readVariables(env, given), ...given };
    const sources = sourcesOf(options, given, (name) => variables.get(name));
    return { options, sources, notes: [], missing: [] };
  }
  const { readSection } = require('./backstage-config.js');
  const section = await readSection(flags.config, flags.key, { env, cwd });
  const kept = Object.entries(section.options).filter(
    ([name]) => !groupOf(name).some((member) => Object.hasOwn(given, member)),
  );
  const options = { ...Object.fromEntries(kept), ...given };
  return { ...section, options, sources: sourcesOf(options, given, () => section.origin) };
}

/** Returns one text for each source, which lists the options from it. */
function sourcesOf(options, given, otherSource) {
  const names = new Map();
  for (const name of Object.keys(options)) {
    const own = withoutFlag.includes(name) ? 'the terminal' : 'flags';
    const source = Object.hasOwn(given, name) ? own : otherSource(name);
    names.set(source, [...(names.get(source) ?? []), name]);
  }
  return Array.from(names, ([source, list]) => `${list.join(', ')} from ${source}`);
}

/**
 * Asks for the secret on a terminal if there is no `--config` and no flag or variable sets a
 * credential. Returns the options in `given`, together with the answer.
 */
async function askSecret({ flags, given }, { env, stdin, stderr }) {
  const options = { ...readVariables(env, given), ...given };
  const hasCredential = CREDENTIALS.some((name) => Object.hasOwn(options, name));
  if (flags.config !== undefined || hasCredential || !stdin.isTTY) return given;
  const client = options.clientId === undefined ? 'the client' : `client ${options.clientId}`;
  const clientSecret = await prompt(`Secret of ${client} (not echoed): `, { stdin, stderr });
  return clientSecret === undefined ? given : { ...given, clientSecret };
}

/**
 * Adds every secret to the redactor: from the options, from the files that they name, and from
 * proxy URLs.
 */
function addSecrets(redactor, options, env) {
  const { clientId } = options;
  for (const name of secretNames) {
    if (name === 'proxy') continue;
    for (const text of textsIn(options[name])) redactor.add(text, clientId);
  }
  for (const name of SECRET_FILES) {
    const content = readable(options[name]);
    redactor.add(content, clientId);
    redactor.add(content.trim(), clientId);
  }
  for (const password of passwordsOf(options.proxy, env)) redactor.add(password);
}

/** Record members that are not secret: public parts of a JSON Web Key, and forwarding headers. */
const PUBLIC = /^(kty|use|key_ops|alg|kid|crv|x|y|n|e|(x-)?forwarded.*)$/i;

function textsIn(value) {
  if (typeof value === 'string') return [value, ...lines(value)];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value)
    .filter(([name]) => !PUBLIC.test(name))
    .flatMap(([, inner]) => textsIn(inner));
}

/** Returns the lines of a key, because a server could repeat a single line. */
const lines = (text) => text.split(/\r?\n/).filter((line) => !line.startsWith('-----'));

function readable(file) {
  if (typeof file !== 'string') return '';
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    // The step that checks the credential reports the file.
    return '';
  }
}

/** Returns the passwords of the proxies in the option and in the environment. */
function passwordsOf(proxy, env) {
  const names = ['HTTPS_PROXY', 'HTTP_PROXY'].flatMap((name) => [name, name.toLowerCase()]);
  return [proxy, ...names.map((name) => env[name])]
    .filter((value) => typeof value === 'string')
    .flatMap((value) => /^(?:\w+:\/\/)?([^/]*)@/.exec(value.trim())?.[1] ?? [])
    .flatMap((user) => [user, ...user.split(':').slice(1)])
    .flatMap((text) => [text, unescaped(text)]);
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

module.exports = { addSecrets, askSecret, collect };
