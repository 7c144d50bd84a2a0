'use strict';

// Makes a manager of each side with the same credential from the same source.

const fs = require('node:fs');
const { makeOurs, makePlain } = require('../sides.js');

/**
 * @param {'ours' | 'plain'} side
 * @param {string} url
 * @param {object} settings
 * @param {'string' | 'function' | 'file'} settings.credential the plain class knows no files, so
 *   its function reads one
 */
function make(side, url, { credential, clientId, secret, files, logger, ...settings }) {
  const { requestTimeoutMs, bufferSeconds } = settings;
  const common = { clientId, logger, tokenExpiryBufferSeconds: bufferSeconds };
  const file = files[side];
  const read = () => fs.readFileSync(file, 'utf8');
  const isString = credential === 'string';
  if (side === 'plain') {
    const clientSecret = isString ? secret : read;
    // Node's own agent, as the class has it by default.
    const agent = undefined;
    return makePlain(url, { ...common, clientSecret, agent, timeoutMs: requestTimeoutMs });
  }
  const source =
    credential === 'file'
      ? { clientSecret: undefined, clientSecretFile: file }
      : { clientSecret: isString ? secret : read };
  return makeOurs(url, { ...common, ...source, requestTimeoutMs });
}

module.exports = { make };
