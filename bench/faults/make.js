'use strict';

// Makes a manager of each side with the same credential from the same source. As the program of a
// worker, this file makes a manager of each side; the managers still wait for their first tokens
// when the parent terminates the worker.

const fs = require('node:fs');
const { isMainThread, workerData } = require('node:worker_threads');
const { makeOurs, makePlain } = require('../sides.js');
const { WORKER_CLIENT_ID } = require('./table.js');

/**
 * @param {'ours' | 'plain'} side
 * @param {string} url
 * @param {object} settings
 * @param {'string' | 'function' | 'file'} settings.credential the source; for `file`, the plain
 *   class gets a function that reads the file, because it has no such option
 */
function make(side, url, { credential, clientId, secret, files, logger, ...settings }) {
  const { requestTimeoutMs, bufferSeconds } = settings;
  const read = () => fs.readFileSync(files[side], 'utf8');
  const clientSecret = credential === 'string' ? secret : read;
  const common = { clientId, clientSecret, logger, tokenExpiryBufferSeconds: bufferSeconds };
  if (side === 'plain') {
    // The class uses Node's global agent by default.
    const agent = undefined;
    return makePlain(url, { ...common, agent, timeoutMs: requestTimeoutMs });
  }
  const file = { clientSecret: undefined, clientSecretFile: files[side] };
  return makeOurs(url, { ...common, ...(credential === 'file' && file), requestTimeoutMs });
}

if (!isMainThread) {
  const settings = { ...workerData, clientId: WORKER_CLIENT_ID };
  for (const [side, url] of Object.entries(workerData.urls)) make(side, url, settings).getToken();
}

module.exports = { make };
