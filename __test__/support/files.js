'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** A folder that is removed after the test. */
function makeFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file in its own folder. */
function makeFile(t, content, name = 'file') {
  const file = path.join(makeFolder(t), name);
  fs.writeFileSync(file, content);
  return file;
}

module.exports = { makeFile, makeFolder };
