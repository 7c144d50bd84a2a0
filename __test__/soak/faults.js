'use strict';

// The faults of the endpoint and their times: a script generated from a seed.

const { writeFile, rename } = require('node:fs/promises');
const { setTimeout: delay } = require('node:timers/promises');
const { random } = require('./random.js');

/** The shortest and the longest time in one mood, in ms. */
const MOOD_MS = [300, 2_500];
const OFFLINE_MS = [100, 900];
const ROTATION_MS = [500, 3_000];
/** Lives of tokens, in s, that are short for many acquisitions. */
const LIVES = [2, 3, 4, 5, 8];

/** Answers by name, which may vary with the random source. */
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

const any = Object.fromEntries(Object.keys(ANSWERS).map((name) => [name, 1]));

/** The weights of the answers, by mood. */
const MOODS = {
  well: { token: 1 },
  mixed: { ...any, token: 20, slow: 5 },
  slow: { slow: 1 },
  broken: { reset: 1, close: 1, truncate: 1, hang: 1 },
  down: { error: 2, starting: 1 },
  refusing: { refused: 1 },
  hostile: { garbage: 2, wrong: 1, flood: 1, redirect: 1, over: 1 },
  drips: { drip: 1 },
};
const LIKELIHOOD = {
  well: 8,
  mixed: 4,
  slow: 1,
  broken: 1,
  down: 1,
  refusing: 0.5,
  hostile: 1,
  drips: 1,
  offline: 1,
};

/**
 * Plays the script on an endpoint until `stop()`.
 *
 * @param {object} endpoint
 * @param {{ seed: string, clients: string[], fileOf: (client: string) => string }} settings
 */
function playScript(endpoint, { seed, clients, fileOf }) {
  const stopped = new AbortController();
  const { signal } = stopped;
  const answers = random(seed, 'answers');
  const given = {};
  let mood = 'well';
  endpoint.setAnswer(() => {
    const name = answers.weighted(MOODS[mood]);
    given[name] = (given[name] ?? 0) + 1;
    return ANSWERS[name](answers);
  });

  const changeMoods = async () => {
    const chance = random(seed, 'moods');
    while (!signal.aborted) {
      const next = chance.weighted(LIKELIHOOD);
      if (next === 'offline') {
        given.offline = (given.offline ?? 0) + 1;
        await endpoint.goOffline();
        await delay(chance.between(...OFFLINE_MS), undefined, { signal }).catch(() => {});
        await endpoint.goOnline();
      } else {
        mood = next;
        await delay(chance.between(...MOOD_MS), undefined, { signal }).catch(() => {});
      }
    }
  };

  const rotateSecrets = async () => {
    const chance = random(seed, 'secrets');
    for (let round = 1; !signal.aborted; round += 1) {
      const client = chance.pick(clients);
      await rotate(endpoint, client, fileOf(client), round);
      await delay(chance.between(...ROTATION_MS), undefined, { signal }).catch(() => {});
    }
  };

  const done = Promise.all([changeMoods(), rotateSecrets()]);
  return {
    given,
    async stop() {
      stopped.abort();
      await done;
    },
  };
}

/** A part of all secrets, which no log line and no error may show. */
const SECRET_MARK = 'KEEP-TO-YOURSELF';

/** Gives a client a new secret, first at the server and then in its file, in one step each. */
async function rotate(endpoint, client, file, round) {
  const secret = `${SECRET_MARK}-${client}-${round}`;
  endpoint.setSecret(client, secret);
  await writeFile(`${file}.new`, `${secret}\n`);
  await rename(`${file}.new`, file);
}

module.exports = { playScript, rotate, SECRET_MARK };
