'use strict';

// Generates the endpoint's faults and their times from a seed. A mood is a period in which the
// endpoint gives one mix of answers, or in which it is offline.

const { writeFile, rename } = require('node:fs/promises');
const { setTimeout: delay } = require('node:timers/promises');
const { random } = require('./random.js');

/** The bounds, in ms, of a mood's duration and of the time between two changes of a secret. */
const MOOD_MS = [300, 2_500];
const ROTATION_MS = [500, 3_000];
/** Token lifetimes in s, short enough for many acquisitions. */
const LIVES = [2, 3, 4, 5, 8];

/** Answers, keyed by name, which may vary with the random source. */
const ANSWERS = {
  token: ({ pick }) => ({ expiresIn: pick(LIVES) }),
  slow: ({ pick, between }) => ({ expiresIn: pick(LIVES), delayMs: between(100, 1_500) }),
  over: ({ pick }) => ({ expiresIn: pick([0, -1, 1]) }),
  drip: ({ pick }) => ({ expiresIn: 5, fault: 'drip', dripMs: pick([1, 2]) }),
  error: ({ pick }) => ({ status: pick([500, 502, 503, 429, 404]) }),
  starting: ({ pick }) => ({ status: 503, headers: { 'Retry-After': pick(['0', '1', '60']) } }),
  refused: () => ({ status: 401, body: { error: 'invalid_client' } }),
  garbage: ({ pick }) => ({
    body: pick(['<html>', '{"access_token":', '{}', '{"access_token":"a\\u0000b"}', '"x"', '']),
  }),
  wrong: () => ({ body: { access_token: 'x', token_type: 'mac', expires_in: 5 } }),
  hang: () => ({ fault: 'hang' }),
  reset: () => ({ fault: 'reset' }),
  close: () => ({ fault: 'close' }),
  truncate: () => ({ fault: 'truncate' }),
  flood: () => ({ fault: 'flood' }),
  redirect: () => ({ fault: 'redirect' }),
};
const NAMES = Object.keys(ANSWERS);
/** The weights of the answers in the mood `mixed`: mostly tokens, with every fault among them. */
const MIXED = { ...Object.fromEntries(NAMES.map((name) => [name, 1])), token: 20, slow: 5 };
/** The weights of the moods; in the mood `single`, all answers are of one kind. */
const MOODS = { well: 4, mixed: 3, single: 4, offline: 1 };

/** A part of all secrets, which no log line and no error may show. */
const SECRET_MARK = 'KEEP-TO-YOURSELF';

/** Gives a client a new secret, first at the server, then in its file. Each change is atomic. */
async function rotate(endpoint, client, file, round) {
  const secret = `${SECRET_MARK}-${client}-${round}`;
  endpoint.setSecret(client, secret);
  await writeFile(`${file}.new`, `${secret}\n`);
  await rename(`${file}.new`, file);
}

/**
 * Plays the script on an endpoint until `stop()`. `files` has the clients' secret files; `given`
 * counts the answers.
 */
function playScript(endpoint, seed, files) {
  const stopped = new AbortController();
  const { signal } = stopped;
  const pause = (ms) => delay(ms, undefined, { signal }).catch(() => {});
  const chance = random(seed, 'answers');
  const given = {};
  let weights = { token: 1 };
  endpoint.setAnswer(() => {
    const name = chance.weighted(weights);
    given[name] = (given[name] ?? 0) + 1;
    return ANSWERS[name](chance);
  });

  const changeMoods = async () => {
    const { between, pick, weighted } = random(seed, 'moods');
    while (!signal.aborted) {
      const mood = weighted(MOODS);
      if (mood === 'offline') await endpoint.goOffline();
      else weights = { well: { token: 1 }, mixed: MIXED, single: { [pick(NAMES)]: 1 } }[mood];
      await pause(between(...MOOD_MS));
      if (mood === 'offline') await endpoint.goOnline();
    }
  };
  const rotateSecrets = async () => {
    const { between, pick } = random(seed, 'secrets');
    for (let round = 1; !signal.aborted; round += 1) {
      const client = pick(Object.keys(files));
      await rotate(endpoint, client, files[client], round);
      await pause(between(...ROTATION_MS));
    }
  };

  const done = Promise.all([changeMoods(), rotateSecrets()]);
  const stop = () => {
    stopped.abort();
    return done;
  };
  return { given, stop };
}

module.exports = { playScript, rotate, SECRET_MARK };
