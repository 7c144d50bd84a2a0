'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** Makes a folder, which the test removes at its end. */
function makeFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Makes a file in a folder of its own. */
function makeFile(t, content, name = 'file') {
  const file = path.join(makeFolder(t), name);
  fs.writeFileSync(file, content);
  return file;
}

module.exports = { makeFile, makeFolder };
