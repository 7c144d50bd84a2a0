'use strict';

// Run as a process of its own with `--expose-gc`, the secret on standard input: acquires a token
// and says whether the secret is to be found in the heap. In no other way does it come into this
// process.

const { once } = require('node:events');
const v8 = require('node:v8');
const { KeycloakTokenManager } = require('../..');

const [tokenEndpoint, source, secretFile] = process.argv.slice(2);

/** The secret as a string that nobody else has, made anew for every call. */
function makeSecret(bytes) {
  return bytes.toString('latin1');
}

/** What the options say of the secret. Ours is the only reference to the string, and it goes. */
function open(bytes) {
  const credentials = {
    string: () => ({ clientSecret: makeSecret(bytes) }),
    function: () => ({ clientSecret: async () => makeSecret(bytes) }),
    file: () => ({ clientSecretFile: secretFile }),
    basic: () => ({ clientSecret: makeSecret(bytes), clientAuthentication: 'client_secret_basic' }),
  };
  return new KeycloakTokenManager({
    tokenEndpoint,
    clientId: 'test-client',
    ...credentials[source](),
  });
}

/** How often the bytes stand in a snapshot of the heap. */
async function count(bytes) {
  // A turn each: what the last one left on the stack or in a queue is not to count.
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise(setImmediate);
    global.gc();
  }
  let found = 0;
  let rest = Buffer.alloc(0);
  for await (const chunk of v8.getHeapSnapshot()) {
    const text = Buffer.concat([rest, Buffer.from(chunk)]);
    for (let at = text.indexOf(bytes); at !== -1; at = text.indexOf(bytes, at + 1)) found += 1;
    rest = text.subarray(Math.max(0, text.length - bytes.length + 1));
  }
  return found;
}

async function main() {
  const [bytes] = await once(process.stdin, 'data');
  const manager = open(bytes);
  const made = await count(bytes);
  await manager.getToken();
  const used = await count(bytes);
  const held = makeSecret(bytes);
  const control = await count(bytes);
  await manager.close();
  process.stdout.write(JSON.stringify({ made, used, control, length: held.length }));
}

main();
