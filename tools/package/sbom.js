'use strict';

// Writes bills of materials in the CycloneDX format: npm writes that of the main package, and that
// of a binary is made from the crates that Cargo resolved. Both are validated against the schema.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { run } = require('../run.js');
const { findBinary, findPlatformPackage, platformManifest } = require('./platform-package.js');
const { targets } = require('./targets.js');

const SPECIFICATION = '1.6';

async function validated(text, { Validation, Spec }, version) {
  const fault = await new Validation.JsonStrictValidator(version ?? Spec.Version.v1dot6).validate(
    text,
  );
  if (fault !== null) throw new Error(`not CycloneDX: ${JSON.stringify(fault)}`);
  return text;
}

/** A serial number that depends only on the content; the format requires a UUID. */
function serialNumber(content) {
  const hex = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`];
  return `urn:uuid:${[...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')}`;
}

/** The licence of a crate; old manifests separate licences with a slash. */
const expression = (license) => license.replaceAll('/', ' OR ');

function component({ name, version, license, checksum }) {
  const purl = `pkg:cargo/${name}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    licenses: [{ expression: expression(license) }],
    ...(checksum !== undefined && { hashes: [{ alg: 'SHA-256', content: checksum }] }),
  };
}

/** The hashes of the crates' archives, by name and version. */
function checksums(lockFile) {
  const entries = fs.readFileSync(lockFile, 'utf8').split('[[package]]').slice(1);
  const value = (entry, key) => new RegExp(`^${key} = "(.+)"$`, 'm').exec(entry)?.[1];
  return new Map(
    entries.map((entry) => [
      `${value(entry, 'name')}@${value(entry, 'version')}`,
      value(entry, 'checksum'),
    ]),
  );
}

/** The bill of a platform package; `linked` are the crates, ours first. */
async function platformBill(name, linked, { binary, lockFile, rustVersion, cyclonedx }) {
  const { version, license } = platformManifest(name);
  const hashes = checksums(lockFile);
  const [own, ...crates] = linked.map((crate) => ({
    ...crate,
    checksum: hashes.get(`${crate.name}@${crate.version}`),
  }));
  const packageName = findPlatformPackage(name);
  const subject = {
    type: 'library',
    'bom-ref': `pkg:npm/${packageName}@${version}`,
    name: packageName,
    version,
    purl: `pkg:npm/${packageName}@${version}`,
    licenses: [{ license: { id: license } }],
    components: [
      {
        type: 'file',
        'bom-ref': findBinary(name),
        name: findBinary(name),
        hashes: [{ alg: 'SHA-256', content: createHash('sha256').update(binary).digest('hex') }],
      },
    ],
  };
  const references = new Map(linked.map((crate) => [crate.id, component(crate)['bom-ref']]));
  references.set(own.id, subject['bom-ref']);
  const standard = {
    type: 'library',
    'bom-ref': 'rust-std',
    name: 'std',
    version: rustVersion,
    licenses: [{ expression: 'MIT OR Apache-2.0' }],
  };
  const content = {
    metadata: {
      component: subject,
      properties: [{ name: 'rust:target', value: targets[name].triple }],
    },
    components: [...crates.map(component), standard].sort((one, other) =>
      one['bom-ref'] < other['bom-ref'] ? -1 : 1,
    ),
    dependencies: linked.map((crate) => ({
      ref: references.get(crate.id),
      dependsOn: [
        ...new Set(crate.dependencies.map((id) => references.get(id))),
        ...(crate.id === own.id ? [standard['bom-ref']] : []),
      ].sort(),
    })),
  };
  const bill = {
    bomFormat: 'CycloneDX',
    specVersion: SPECIFICATION,
    serialNumber: serialNumber(content),
    version: 1,
    ...content,
  };
  return validated(`${JSON.stringify(bill, null, 2)}\n`, cyclonedx);
}

/** The bill of the main package. The folder gets a lock file of the packages that npm installs. */
async function mainBill(folder, manifest, cyclonedx) {
  const packages = { '': manifest };
  for (const [name, target] of Object.entries(targets)) {
    const { version, license, os, cpu, libc, engines } = platformManifest(name);
    const entry = { version, license, os, cpu, libc, engines, optional: true };
    packages[`node_modules/${findPlatformPackage(name)}`] = entry;
    if (target.libc === undefined) delete entry.libc;
  }
  const { name, version } = manifest;
  const lock = { name, version, lockfileVersion: 3, requires: true, packages };
  fs.writeFileSync(`${folder}/package.json`, JSON.stringify(manifest));
  fs.writeFileSync(`${folder}/package-lock.json`, JSON.stringify(lock));
  const form = ['--sbom-format=cyclonedx', '--sbom-type=library'];
  const args = ['sbom', ...form, '--package-lock-only', '--omit=peer', '--prefix', folder];
  const text = await run('npm', args, { capture: true });
  const bill = JSON.parse(text);
  // The same content gives the same file.
  delete bill.metadata.timestamp;
  delete bill.serialNumber;
  bill.serialNumber = serialNumber(bill);
  const specification = Object.values(cyclonedx.Spec.Version).find((v) => v === bill.specVersion);
  return validated(`${JSON.stringify(bill, null, 2)}\n`, cyclonedx, specification);
}

module.exports = { mainBill, platformBill };
