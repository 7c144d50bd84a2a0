'use strict';

// Reads the options in a section of Backstage configuration files: with Backstage's own loader if
// the application has it, or else with a YAML library. Without the loader, this module replaces
// only `${NAME}`. In both cases this module reads the files itself as well, because the loader
// silently drops a key whose environment variable is missing.

const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { PlainConfig, isObject } = require('./plain-config.js');

const LOADER = '@backstage/config-loader';
const DEFAULT_KEY = 'boost.kagenti.auth';
/** `$$` before a brace stands for a dollar sign; `${NAME:-default}` has a default. */
const VARIABLE = /\$\$\{|\$\{([^{}]*?)(?::-([^{}]*))?\}/g;
/** The keys with which Backstage's loader includes the content of another file. */
const INCLUSIONS = ['$file', '$include', '$env'];

/** The faults of an inclusion, identified by the start of the loader's error message. */
const FAULTS = [
  ['failed to include', 'the file does not exist'],
  ['failed to read file', 'the file is unreadable'],
  ['failed to parse included file', 'the file is not valid JSON or YAML'],
  ['no configuration parser', 'the name of the file must end with .json, .yaml or .yml'],
];

/**
 * The error for a configuration that this module cannot read. The message contains no configuration
 * values.
 */
class ConfigurationError extends Error {}

/** Returns `{ options, origin, notes, missing, isComplete }`. */
async function readSection(files, key = DEFAULT_KEY, { env, cwd }) {
  const { readKeycloakTokenManagerOptions } = require('../backstage/config.js');
  const documents = files.map((file) => ({ file, data: parse(file, cwd) }));
  const missing = missingVariables(documents, key, env);
  const loader = findLoader(cwd);
  const { config, notes, close } =
    loader === undefined
      ? plainConfig(documents, key, env)
      : await loadedConfig(loader, documents, cwd);
  const origin = `${files.join(', ')}, section ${key}`;
  try {
    // A check of the credentials needs no store.
    const openStore = () => undefined;
    const options = readKeycloakTokenManagerOptions(config, key, { openStore });
    if (options === undefined && missing.length === 0) {
      throw new ConfigurationError(`${files.join(', ')}: the section ${key} is missing or empty`);
    }
    return { options: options ?? {}, origin, notes, missing, isComplete: options !== undefined };
  } catch (error) {
    // The missing variable is the cause, so the result names the variable instead of the error.
    if (missing.length > 0) return { options: {}, origin, notes, missing, isComplete: false };
    throw error;
  } finally {
    close();
  }
}

function parse(file, cwd) {
  const { load } = require('js-yaml');
  let text;
  try {
    text = fs.readFileSync(path.resolve(cwd, file), 'utf8');
  } catch ({ code }) {
    throw new ConfigurationError(`the configuration file ${file} is unreadable (${code})`);
  }
  try {
    return load(text);
  } catch ({ mark }) {
    // The parser's message shows the lines around the fault, which may contain a secret.
    const place = mark === undefined ? '' : ` in line ${mark.line + 1}`;
    throw new ConfigurationError(`${file} is not valid YAML${place}`);
  }
}

/** Returns the value at a path. The names in a path may contain dots. */
const at = (data, path) =>
  path.reduce(
    (value, name) => (isNested(value) && Object.hasOwn(value, name) ? value[name] : undefined),
    data,
  );

const isNested = (value) => isObject(value) || Array.isArray(value);

/** Writes a path as Backstage does: `.scope[0]`. */
const textOf = (path) =>
  path.map((name) => (typeof name === 'number' ? `[${name}]` : `.${name}`)).join('');

/** Yields `{ path, value }` for the value at a path and for every value inside it. */
function* valuesIn(value, path) {
  yield { path, value };
  if (!isNested(value)) return;
  for (const [name, inner] of Object.entries(value)) {
    yield* valuesIn(inner, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

/**
 * Returns the variables of a section that are unset or empty, as `{ file, key, name, isEmpty }`.
 */
function missingVariables(documents, section, env) {
  const merged = documents.map(({ data }) => data ?? {}).reduce(merge, {});
  const top = section.split('.');
  return Array.from(valuesIn(at(merged, top), top)).flatMap(({ path: found, value }) => {
    const names = missingIn(value, env);
    if (names.length === 0) return [];
    // A later file replaces the values of earlier ones.
    const { file } = documents.findLast(({ data }) => at(data, found) !== undefined);
    const key = textOf(found).slice(1);
    return names.map((name) => ({ file, key, name, isEmpty: env[name] === '' }));
  });
}

function missingIn(value, env) {
  if (typeof value !== 'string') return [];
  return Array.from(value.matchAll(VARIABLE))
    .filter(([match, , fallback]) => match !== '$${' && fallback === undefined)
    .map(([, name]) => name)
    .filter((name) => !env[name]);
}

/** Returns the configuration loader of the application in the working directory. */
function findLoader(cwd) {
  const fromApp = createRequire(path.join(cwd, 'package.json'));
  const resolvers = [
    () => fromApp,
    () => createRequire(fromApp.resolve('@backstage/backend-defaults')),
    () => createRequire(path.join(cwd, 'packages', 'backend', 'package.json')),
  ];
  for (const resolver of resolvers) {
    try {
      return resolver()(LOADER);
    } catch {
      // The next place may have the loader.
    }
  }
  return undefined;
}

async function loadedConfig({ ConfigSources }, documents, cwd) {
  const argv = documents.flatMap(({ file }) => ['--config', path.resolve(cwd, file)]);
  try {
    const sources = ConfigSources.default({ argv, rootDir: cwd, watch: false });
    const config = await ConfigSources.toConfig(sources);
    return { config, notes: [], close: () => config.close?.() };
  } catch (error) {
    throw new ConfigurationError(withoutValues(`${error?.message}`, documents, cwd));
  }
}

/**
 * Returns a text for a loader error, because the error's own text may show the lines around a fault
 * in an included file. The names of the file and the key come from the documents, not from that
 * text.
 */
function withoutValues(message, documents, cwd) {
  const files = documents.map(({ file }) => file).join(', ');
  for (const { file, data } of documents) {
    if (!message.includes(`"${path.resolve(cwd, file)}"`)) continue;
    for (const { path: found, value } of valuesIn(data, [])) {
      const inclusion = INCLUSIONS.find((name) => isObject(value) && Object.hasOwn(value, name));
      // Inside an included value, the loader's path is longer.
      const [, fault = ''] = message.split(`error at ${textOf(found)}`);
      if (inclusion === undefined || !/^[,.[]/.test(fault)) continue;
      const [, reason] = FAULTS.find(([start]) => fault.startsWith(`, ${start}`)) ?? [];
      const place = `${file}: ${LOADER} cannot read ${inclusion} in ${textOf(found).slice(1)}`;
      return reason === undefined ? place : `${place}: ${reason}`;
    }
  }
  return `${files}: ${LOADER} cannot read the configuration`;
}

function plainConfig(documents, key, env) {
  const merged = documents.map(({ data }) => substituted(data ?? {}, env)).reduce(merge, {});
  const notes = [`${LOADER} is not installed here, so this command replaced only \${NAME}`];
  const included = INCLUSIONS.filter((name) =>
    JSON.stringify(at(merged, key.split('.')) ?? {}).includes(name),
  );
  if (included.length > 0) {
    throw new ConfigurationError(
      `${key} uses ${included.join(', ')}, which only ${LOADER} can read; ` +
        'run the command in the folder of the application',
    );
  }
  return { config: new PlainConfig(merged), notes, close: () => {} };
}

function substituted(value, env) {
  if (typeof value === 'string') return substitute(value, env);
  if (Array.isArray(value)) return value.map((item) => substituted(item, env));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, substituted(inner, env)]);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

/**
 * Returns `undefined` if a variable without a default is unset or empty. Backstage's loader drops
 * the key of an unset variable.
 */
function substitute(text, env) {
  let isMissing = false;
  const result = text.replace(VARIABLE, (match, name, fallback) => {
    if (match === '$${') return '${';
    const value = env[name] || fallback;
    if (value === undefined) isMissing = true;
    return value;
  });
  return isMissing ? undefined : result;
}

function merge(first, second) {
  if (!isObject(first) || !isObject(second)) return second ?? first;
  const names = new Set([...Object.keys(first), ...Object.keys(second)]);
  return Object.fromEntries(
    Array.from(names, (name) => [
      name,
      Object.hasOwn(second, name) ? merge(first[name], second[name]) : first[name],
    ]),
  );
}

module.exports = { ConfigurationError, readSection };
