'use strict';

// `options.json` is the only description of the options. This script generates the rest from it:
// the table of the README, the types, the configuration schema (which Backstage and our
// configuration reader use) and the constants of the Rust parser. `optionFaults` finds generated
// files that are out of date.

const fs = require('node:fs');
const path = require('node:path');
const { root } = require('./run.js');

const COMMAND = 'npm run options';
const COLUMNS = 100;
/**
 * The section of the configuration schema that contains the options, and the section that contains
 * named clients.
 */
const SECTION = ['boost', 'kagenti', 'auth'];
const CLIENTS = ['keycloak', 'clients'];
/** The keys of a section that are not options of a manager. */
const BACKEND_KEYS = {
  sharedCache: {
    type: 'boolean',
    description:
      'Whether the replicas of this backend share tokens through the cache that backend.cache ' +
      'describes: redis, valkey, memcache or infinispan. Default: false.',
  },
  telemetry: {
    type: 'boolean',
    description:
      'Whether the manager reports metrics and spans to OpenTelemetry. This option needs the ' +
      'package @opentelemetry/api. Default: false.',
  },
};

/**
 * The form of each kind of option in the README, the types, the schema and Rust. `expected` is the
 * text of a fault. A row without a kind has its own `type`, `shown` and `schema`, and its own Rust
 * code. A configuration file cannot contain an option that has neither `schema` nor `members`.
 */
const KINDS = {
  string: text('string', 'a non-empty string'),
  url: text('URL', 'an absolute http or https URL'),
  pem: text('PEM', 'PEM as a non-empty string'),
  path: {
    shown: () => 'path',
    type: 'string',
    schema: () => ({ type: 'string' }),
    rust: ({ name }) => ['FilePath', [quoted(name)]],
  },
  integer: {
    shown: ({ minimum }) => `integer ≥ ${minimum}`,
    type: 'number',
    schema: ({ minimum }) => ({ type: 'integer', minimum }),
    rust: ({ name, minimum, default: value }) => [
      'Integer',
      [quoted(name), `${minimum}`, value.toLocaleString('en').replaceAll(',', '_')],
    ],
  },
  boolean: {
    shown: () => 'boolean',
    type: 'boolean',
    schema: () => ({ type: 'boolean' }),
    rust: ({ name, default: value }) => ['Flag', [quoted(name), `${value}`]],
  },
  choice: {
    shown: () => 'string',
    schema: ({ values }) => ({ type: 'string', enum: values }),
  },
};

function text(shown, expected) {
  return {
    shown: () => shown,
    type: 'string',
    schema: () => ({ type: 'string' }),
    rust: (row) => ['Text', [quoted(row.name), quoted(row.expected ?? expected)]],
  };
}

const quoted = (string) => JSON.stringify(string);
const kindOf = (row) => KINDS[row.kind] ?? {};

const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
const readTable = () => JSON.parse(read('options.json'));

/** Returns the sentences about a row's range, unit and default. */
function rules({ kind, minimum, unit, default: value }) {
  const integer = minimum === 0 ? 'A non-negative integer' : `An integer of at least ${minimum}`;
  const inUnit = unit === undefined ? '' : `, in ${unit}`;
  const range = kind === 'integer' ? [`${integer}${inUnit}.`] : [];
  return value === undefined ? range : [...range, `Default: ${value}.`];
}

/** Replaces the text between `from` and `to` with `inner`. */
function replaceBetween(file, whole, from, to, inner) {
  const start = whole.indexOf(from);
  const end = start < 0 ? -1 : whole.indexOf(to, start + from.length);
  if (end < 0) throw new Error(`${file}: no ${quoted(from)} before a ${quoted(to)}`);
  return whole.slice(0, start + from.length) + inner + whole.slice(end);
}

function readmeRow(row) {
  const { shown = kindOf(row).shown(row), required, default: value = '', values } = row;
  const choices = values === undefined ? '' : ` One of \`${values.join('`, `')}\`.`;
  const cells = [`\`${row.name}\``, shown, required ? 'required' : value, row.summary + choices];
  if (cells.some((cell) => String(cell).includes('|'))) {
    throw new Error(`options.json: ${row.name}: a bar breaks the table of the README`);
  }
  return `| ${cells.join(' | ').replaceAll('|  |', '| |')} |`;
}

function readme(table, whole) {
  const head = '| option | type | default | |\n|---|---|---|---|\n';
  return replaceBetween('README.md', whole, head, '\n\n', table.map(readmeRow).join('\n'));
}

/** Returns a comment for the member of an interface, wrapped at the line limit. */
function comment(sentences) {
  // A link stays on one line.
  const words = sentences.join(' ').split(/ (?![^{]*\})/);
  const single = `  /** ${words.join(' ')} */\n`;
  if (single.length <= COLUMNS + 1) return single;
  const lines = [];
  for (const word of words) {
    const line = lines.at(-1);
    if (line !== undefined && `   * ${line} ${word}`.length <= COLUMNS) {
      lines[lines.length - 1] = `${line} ${word}`;
    } else lines.push(word);
  }
  return `  /**\n${lines.map((line) => `   * ${line}\n`).join('')}   */\n`;
}

function member(row) {
  const { name, required, summary, details } = row;
  const sentences = [summary, ...rules(row), details].filter((part) => part !== undefined);
  const type = row.type ?? kindOf(row).type;
  if (required) return `${comment(sentences)}  ${name}: ${type};`;
  const whole = type.includes('=>') && !type.endsWith(')') ? `(${type})` : type;
  return `${comment(sentences)}  ${name}?: ${whole} | undefined;`;
}

function types(table, whole) {
  const interfaces = { KeycloakTokenManagerOptions: table };
  for (const row of table) if (row.members) interfaces[row.type] = row.members;
  return Object.entries(interfaces).reduce((result, [name, rows]) => {
    const head = `export interface ${name} {\n`;
    return replaceBetween('index.d.ts', result, head, '\n}\n', rows.map(member).join('\n'));
  }, whole);
}

/** Removes the markup of the README and the types, which a schema does not render. */
const plain = (sentences) => sentences.join(' ').replace(/`|\{@link (?:\w+\.)?(\w+)\}/g, '$1');

function properties(rows) {
  const entries = rows.flatMap((row) => {
    const schema = row.members ? section(row.members) : (row.schema ?? kindOf(row).schema?.(row));
    if (schema === undefined) return [];
    const description = plain([row.summary, ...rules(row)]);
    return [[row.name, { ...secret(row, schema), description }]];
  });
  return Object.fromEntries(entries);
}

/** Marks the string alternatives of a secret option, because Backstage redacts only strings. */
function secret(row, schema) {
  if (!row.secret) return schema;
  if (schema.type === 'string') return { ...schema, visibility: 'secret' };
  const { additionalProperties } = schema;
  if (additionalProperties) {
    return { ...schema, additionalProperties: secret(row, additionalProperties) };
  }
  return schema.anyOf ? { anyOf: schema.anyOf.map((branch) => secret(row, branch)) } : schema;
}

function section(rows) {
  const required = rows.filter((row) => row.required).map(({ name }) => name);
  return { type: 'object', required, properties: properties(rows) };
}

function withoutDescriptions(members) {
  const entries = Object.entries(members).map(([name, { description, ...member }]) => {
    const inner = member.properties && { properties: withoutDescriptions(member.properties) };
    return [name, { ...member, ...inner }];
  });
  return Object.fromEntries(entries);
}

function schema(table) {
  const at = (path, inner) =>
    path.reduceRight((value, key) => ({ type: 'object', properties: { [key]: value } }), inner);
  // The credentials of a section may be optional, so the schema requires no member. The reader
  // reports the missing members.
  const { type, properties } = section(table);
  const members = { ...properties, ...BACKEND_KEYS };
  const whole = {
    $schema: 'https://backstage.io/schema/config-v1',
    title: 'keycloak-token-manager',
    type: 'object',
    properties: {
      ...at(SECTION, {
        description: 'The service account whose tokens the plugins of this backend use.',
        type,
        properties: members,
      }).properties,
      ...at(CLIENTS, {
        description: `Further service accounts, keyed by name, with the same keys as ${SECTION.join('.')}.`,
        type: 'object',
        additionalProperties: { type, properties: withoutDescriptions(members) },
      }).properties,
    },
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

function constant(row) {
  const { name } = row;
  const identifier = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  const [type, values] = kindOf(row).rust?.(row) ?? ['&str'];
  const value = values === undefined ? quoted(name) : `${type}::new(${values.join(', ')})`;
  const line = `pub(super) const ${identifier}: ${type} = ${value};`;
  return line.length <= COLUMNS ? line : line.replace(' = ', ' =\n    ');
}

function rust(table) {
  const used = new Set(table.map((row) => kindOf(row).rust?.(row)[0]).filter(Boolean));
  return [
    `//! The options, generated from \`options.json\` by \`${COMMAND}\`: do not edit this file. The`,
    '//! compiler reports an option that the parser does not read, because its constant is unused.',
    '',
    `use super::generic::{${[...used].sort().join(', ')}};`,
    '',
    ...table.map(constant),
    '',
  ].join('\n');
}

/** The functions that generate a file from the table and the file's current text. */
const DERIVED = {
  'README.md': readme,
  'index.d.ts': types,
  'config.schema.json': schema,
  'crates/manager/src/options/table.rs': rust,
};

/**
 * Returns the required content of the files, keyed by name; `read` returns their current content.
 */
function derived(table, read) {
  const entries = Object.entries(DERIVED);
  return Object.fromEntries(entries.map(([file, write]) => [file, write(table, read(file))]));
}

/** Returns a message for each derived file that does not agree with the table. */
function optionFaults(table, read) {
  return Object.entries(derived(table, read))
    .filter(([file, expected]) => read(file) !== expected)
    .map(([file]) => `${file}: does not agree with options.json: run \`${COMMAND}\``);
}

module.exports = { DERIVED, derived, optionFaults, readTable };

if (require.main === module) {
  for (const [file, content] of Object.entries(derived(readTable(), read))) {
    fs.writeFileSync(path.join(root, file), content);
  }
}
