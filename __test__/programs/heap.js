'use strict';

// Run with `--expose-gc`. Arguments: token endpoint, source of the secret, its file. Standard
// input: one line with the secret and the token, which have the same length and reach this process
// in no other way. Prints the number of times that each occurs in the heap over the life of a
// manager.

const { once } = require('node:events');
const { setTimeout: delay } = require('node:timers/promises');
const v8 = require('node:v8');
const { collect, open, tell } = require('./program.js');

/** Longer than the token's lifetime. */
const LIFE_MS = 1_000;
const [, , , source, clientSecretFile] = process.argv;

/** Makes a new string from the bytes at every call. */
const textOf = (bytes) => bytes.toString('latin1');

/** Options with the only reference to the string. */
const credentials = {
  string: (secret) => ({ clientSecret: textOf(secret) }),
  function: (secret) => ({ clientSecret: async () => textOf(secret) }),
  file: () => ({ clientSecret: undefined, clientSecretFile }),
  basic: (secret) => ({
    clientSecret: textOf(secret),
    clientAuthentication: 'client_secret_basic',
  }),
};

/** Counts the occurrences in a heap snapshot. */
async function count(marks) {
  // The last turn may have left values on the stack or in a queue.
  let turns = 0;
  await collect(() => {
    turns += 1;
    return turns > 3;
  });
  const counts = { secret: 0, token: 0 };
  let rest = Buffer.alloc(0);
  for await (const chunk of v8.getHeapSnapshot()) {
    const text = Buffer.concat([rest, Buffer.from(chunk)]);
    for (const [name, bytes] of Object.entries(marks)) {
      for (let at = text.indexOf(bytes); at !== -1; at = text.indexOf(bytes, at + 1)) {
        counts[name] += 1;
      }
    }
    rest = text.subarray(Math.max(0, text.length - marks.secret.length + 1));
  }
  return counts;
}

async function main() {
  const [line] = await once(process.stdin, 'data');
  process.stdin.destroy();
  const half = (line.length - 1) / 2;
  const marks = { secret: line.subarray(0, half), token: line.subarray(half, 2 * half) };
  const manager = open({ ...credentials[source](marks.secret), backgroundRefresh: false });
  const seen = {};
  const look = async (name) => {
    seen[name] = await count(marks);
  };
  // A snapshot takes a long time, so the program takes all snapshots for one source only.
  const isWhole = source === 'string';
  if (isWhole) await look('made');
  await manager.getToken();
  await look('held');
  if (isWhole) {
    manager.clearCache();
    await look('cleared');
    await manager.getToken();
    await delay(LIFE_MS);
    await look('over');
    await manager.getToken();
    await manager.close();
    await look('closed');
  }
  const kept = textOf(marks.secret);
  await look('control');
  await manager.close();
  tell({ ...seen, length: kept.length });
}

main();
