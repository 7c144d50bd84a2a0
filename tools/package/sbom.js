'use strict';

// Writes bills of materials in the CycloneDX format, and validates them against its schema.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { findBinary, platformManifest } = require('./platform-package.js');
const { targets } = require('./targets.js');

/** Returns a serial number that depends only on the content; the format requires a UUID. */
function serialNumber(content) {
  const hex = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`];
  return `urn:uuid:${[...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')}`;
}

/** Returns a component. Old manifests separate licences with a slash. */
function component(registry, { name, version, license, sha256 }) {
  const purl = registry && `pkg:${registry}/${name}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl ?? name,
    name,
    version,
    purl,
    licenses: [{ expression: license.replaceAll('/', ' OR ') }],
    hashes: sha256 && [{ alg: 'SHA-256', content: sha256 }],
  };
}

/**
 * Returns the text of a bill of materials. `edges` contains pairs of references: a part, and one of its
 * dependencies.
 */
async function writeBill(metadata, components, edges, { Validation, Spec }) {
  const references = [metadata.component, ...components].map((part) => part['bom-ref']);
  const content = {
    metadata,
    components,
    dependencies: references.map((ref) => ({
      ref,
      dependsOn: [...new Set(edges.filter(([from]) => from === ref).map(([, to]) => to))].sort(),
    })),
  };
  const format = { bomFormat: 'CycloneDX', specVersion: Spec.Version.v1dot6, version: 1 };
  const bill = { ...format, serialNumber: serialNumber(content), ...content };
  const text = `${JSON.stringify(bill, null, 2)}\n`;
  const fault = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  if (fault !== null) throw new Error(`not CycloneDX: ${JSON.stringify(fault)}`);
  return text;
}

/** Returns the hashes of the crates' archives, keyed by name and version. */
function checksums(lockFile) {
  const entry = /^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"$/gm;
  const entries = fs.readFileSync(lockFile, 'utf8').matchAll(entry);
  return new Map(Array.from(entries, ([, name, version, hash]) => [`${name}@${version}`, hash]));
}

/**
 * Returns the bill of materials of a platform package. The second argument lists the linked crates,
 * with the package's own crate first.
 */
function platformBill(name, [own, ...crates], { binary, lockFile, rustVersion, cyclonedx }) {
  const hashes = checksums(lockFile);
  const sha256 = createHash('sha256').update(binary).digest('hex');
  const file = findBinary(name);
  const subject = {
    ...component('npm', platformManifest(name)),
    components: [
      { type: 'file', 'bom-ref': file, name: file, hashes: [{ alg: 'SHA-256', content: sha256 }] },
    ],
  };
  const library = { name: 'std', version: rustVersion, license: 'MIT OR Apache-2.0' };
  const standard = component(undefined, library);
  const references = new Map([[own.id, subject['bom-ref']]]);
  const components = crates.map((crate) => {
    const part = component('cargo', {
      ...crate,
      sha256: hashes.get(`${crate.name}@${crate.version}`),
    });
    references.set(crate.id, part['bom-ref']);
    return part;
  });
  const edges = [own, ...crates].flatMap(({ id, dependencies }) =>
    dependencies.map((other) => [references.get(id), references.get(other)]),
  );
  edges.push([subject['bom-ref'], standard['bom-ref']]);
  const properties = [{ name: 'rust:target', value: targets[name].triple }];
  return writeBill({ component: subject, properties }, [...components, standard], edges, cyclonedx);
}

/**
 * Returns the bill of materials of the main package, which contains the library and depends on the
 * platform packages.
 */
function mainBill(manifest, library, cyclonedx) {
  const subject = component('npm', manifest);
  const platforms = Object.keys(targets).map((name) => component('npm', platformManifest(name)));
  const components = [component('npm', library), ...platforms];
  const edges = components.map((part) => [subject['bom-ref'], part['bom-ref']]);
  return writeBill({ component: subject }, components, edges, cyclonedx);
}

module.exports = { mainBill, platformBill };
