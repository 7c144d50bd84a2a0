'use strict';

const { createPrivateKey, createPublicKey } = require('node:crypto');

/**
 * Returns a key as a JSON Web Key. Exporting a generated key directly can deadlock Node 20: the
 * garbage collector may free the job that generated the key, and both the export and the job take
 * the key's lock. A key that comes from PEM has no such job.
 */
function jwkOf(key) {
  const [type, read] =
    key.type === 'private' ? ['pkcs8', createPrivateKey] : ['spki', createPublicKey];
  return read(key.export({ type, format: 'pem' })).export({ format: 'jwk' });
}

module.exports = { jwkOf };
