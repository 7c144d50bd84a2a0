'use strict';

// The faults: how the test causes each fault, and how the fault may affect callers without a token.
// During every fault, a caller immediately gets a valid held token; `run.js` checks this.

const fs = require('node:fs');

const LIFE_SECONDS = 300;
const BUFFER_SECONDS = 60;
const REQUEST_TIMEOUT_MS = 3_000;
const HOUR_MS = 3_600_000;
/** An age between the start of the buffer and the token's expiry. */
const STALE_AGE_MS = 245_000;
/** A time longer than a request's deadline. */
const PAST_DEADLINE_MS = REQUEST_TIMEOUT_MS + 500;
/** A delay well below the deadline, and long enough for another event during the request. */
const SLOW_MS = 400;
const ABORT_AFTER_MS = 50;
const BLOCKED_SECONDS = REQUEST_TIMEOUT_MS / 1000 + 1;
const WORKER_CLIENT_ID = 'worker';
/** The limit on file descriptors for a process that uses them all. */
const FEW_FILES = 128;

const SERVED = [];
const NETWORK = ['ERR_KEYCLOAK_NETWORK'];
const TIMEOUT = ['ERR_KEYCLOAK_TIMEOUT'];
const PROTOCOL = ['ERR_KEYCLOAK_PROTOCOL'];
const HTTP = ['ERR_KEYCLOAK_HTTP'];
const OAUTH = ['ERR_KEYCLOAK_OAUTH'];

const each = (cell, act) => Promise.all(Object.entries(cell.endpoints).map(act));
const setAnswer = (cell, answer) => each(cell, ([, endpoint]) => endpoint.setAnswer(answer));

const restore = (cell) => each(cell, ([, endpoint]) => endpoint.restore());

/** A fault in the endpoint's answers, until the test restores the endpoint. */
const answering = (answer) => ({ begin: (cell) => setAnswer(cell, answer), end: restore });

/** A gateway's page that shows the request. */
const gatewayPage = ({ secret }) => ({
  status: 502,
  headers: { 'content-type': 'text/html' },
  body: `<html><h1>502 Bad Gateway</h1><pre>client_secret=${secret}</pre></html>`,
});

const dropConnections = (cell) =>
  each(cell, async ([, endpoint]) => {
    await endpoint.goOffline();
    await endpoint.goOnline();
  });

/** The endpoint leaves existing connections open but no longer answers on them. */
const deafenOldConnections = (cell) =>
  each(cell, ([, endpoint]) => {
    const last = endpoint.connectionCount;
    endpoint.setAnswer(({ connection }) => (connection <= last ? { fault: 'hang' } : {}));
  });

/** The server has a new secret. The file receives the new secret at the first refusal. */
const rotateSecret = (cell) =>
  each(cell, ([side, endpoint]) => {
    endpoint.setSecret(cell.clientId, cell.newSecret);
    endpoint.setAnswer(() => {
      fs.writeFileSync(cell.files[side], cell.newSecret);
      return {};
    });
  });

/** The clocks jump during a request, or while the manager serves callers from the cache. */
const jumping = (steps, later) => ({
  ages: false,
  begin: (cell) => setAnswer(cell, { delayMs: SLOW_MS }),
  async during({ client, arrived, situation }) {
    if (situation === 'none') await arrived();
    await client.ask('jump', steps);
    if (situation === 'held' && later) await client.ask('pass', later);
  },
});

/** The process has no free file descriptor and no open connection. */
const withoutFiles = {
  openFiles: FEW_FILES,
  async begin(cell) {
    await dropConnections(cell);
    await cell.client.ask('openFiles');
  },
  end: ({ client }) => client.ask('closeFiles'),
};

/** Look-ups `fail` or `hang`, and the process has no open connection. */
const withNames = (state) => ({
  host: 'keycloak.test',
  async begin(cell) {
    await dropConnections(cell);
    await cell.client.ask('letNames', state);
  },
  end: ({ client }) => client.ask('letNames', 'work'),
});

/**
 * `none` lists the error codes that callers without a token get; if the list is empty, these
 * callers get a token. Further properties, whose defaults are in `run.js`:
 *
 * - `begin`, `during`, `end`: functions that start the fault, run during the calls, and end the
 *   fault
 * - `lastsMs`: the duration
 * - `situations`: the situations to run, out of `held` and `none`
 * - `ages`: whether a held token becomes stale when the fault has begun
 * - `expiresIn`, `bufferSeconds`, `ageMs`: the token's lifetime, buffer and age
 * - `isWarm`: whether callers without a token had a token before, and therefore a connection
 * - `credential`, `host`, `openFiles`, `abortAfterMs`: settings of the process that meets the fault
 * - `mayRenew`: the situations in which the wall clock may make the manager treat a token as
 *   expired although the server still accepts it
 * - `isHeavy`: whether each side needs its own process
 * - `exits`: whether the process ends during the flight
 */
const row = (name, detail, none, ...members) => Object.assign({ name, detail, none }, ...members);
const PAST_DEADLINE = { lastsMs: PAST_DEADLINE_MS };

const rows = [
  row('slow answer', '400 ms', SERVED, answering({ delayMs: SLOW_MS })),
  row('dripping answer', 'a byte every 50 ms', TIMEOUT, {
    ...PAST_DEADLINE,
    ...answering({ fault: 'drip', dripMs: 50 }),
  }),
  row('flood', 'a body of 400 MB', PROTOCOL, { isHeavy: true, ...answering({ fault: 'flood' }) }),
  row('redirect', '307', PROTOCOL, answering({ fault: 'redirect' })),
  row('torn 200', 'half a body', NETWORK, answering({ fault: 'truncate' })),
  row('HTML 502', 'the page shows the form', HTTP, {
    begin: (cell) => setAnswer(cell, gatewayPage(cell)),
    end: restore,
  }),
  row('connection refused', '', NETWORK, {
    begin: (cell) => each(cell, ([, endpoint]) => endpoint.goOffline()),
    end: (cell) => each(cell, ([, endpoint]) => endpoint.goOnline()),
  }),
  row('connection reset', '', NETWORK, answering({ fault: 'reset' })),
  row('dead kept connection', 'acknowledges, never answers', TIMEOUT, {
    // The lifetime is so short that the client keeps the connection until the refresh.
    expiresIn: 20,
    bufferSeconds: 10,
    ageMs: 12_000,
    isWarm: true,
    begin: deafenOldConnections,
    end: restore,
  }),
  row('silent server', 'accepts, never answers', TIMEOUT, {
    ...PAST_DEADLINE,
    ...answering({ fault: 'hang' }),
  }),
  row('wrong secret', '', OAUTH, {
    begin: (cell) =>
      each(cell, ([, endpoint]) => endpoint.setSecret(cell.clientId, cell.newSecret)),
    end: restore,
  }),
  ...['file', 'function'].map((credential) =>
    row(`rotated secret of a ${credential}`, 'replaced at the first refusal', SERVED, {
      credential,
      begin: rotateSecret,
    }),
  ),
  row('wall clock 2 h ahead', 'all at once', SERVED, jumping({ wallMs: 2 * HOUR_MS }), {
    mayRenew: ['held', 'none'],
  }),
  row('wall clock 2 h back', 'then the token runs out', SERVED, {
    ...jumping({ wallMs: -2 * HOUR_MS }, (LIFE_SECONDS + 1) * 1000),
  }),
  row('suspended for 2 h', 'monotonic clock stands', SERVED, {
    mayRenew: ['none'],
    ...jumping({ wallMs: 2 * HOUR_MS, boottimeMs: 2 * HOUR_MS, truthMs: 2 * HOUR_MS }),
  }),
  row('blocked event loop', '4 s, past the end of the token', SERVED, {
    ages: false,
    begin: (cell) => setAnswer(cell, { delayMs: SLOW_MS }),
    async during({ client, arrived, situation }) {
      if (situation === 'none') await arrived();
      const passedMs = situation === 'held' ? [STALE_AGE_MS, 60_000] : [0, 0];
      await client.ask('block', { seconds: BLOCKED_SECONDS, passedMs });
    },
  }),
  row('worker killed in a flight', '', SERVED, {
    begin: (cell) =>
      setAnswer(cell, ({ clientId }) =>
        clientId === WORKER_CLIENT_ID ? { fault: 'hang' } : { delayMs: SLOW_MS },
      ),
    async during({ client, arrived }) {
      await client.ask('startWorker');
      // The main thread's request, and the worker's.
      await arrived(2);
      await client.ask('killWorker');
    },
  }),
  row('process exit in a flight', '', SERVED, {
    exits: true,
    begin: (cell) => setAnswer(cell, { fault: 'hang' }),
    during: ({ arrived }) => arrived(),
  }),
  row('aborting callers', 'half of them, after 50 ms, server silent', ['AbortError', ...TIMEOUT], {
    abortAfterMs: ABORT_AFTER_MS,
    ...PAST_DEADLINE,
    ...answering({ fault: 'hang' }),
  }),
  row('no file descriptor left', '', NETWORK, withoutFiles, { isWarm: true }),
  row('no file descriptor at the start', '', NETWORK, withoutFiles, { situations: ['none'] }),
  row('name not found', '', NETWORK, withNames('fail')),
  row('hanging look-up', '6 s', TIMEOUT, withNames('hang'), { lastsMs: 6_000 }),
];

module.exports = {
  BUFFER_SECONDS,
  LIFE_SECONDS,
  REQUEST_TIMEOUT_MS,
  STALE_AGE_MS,
  WORKER_CLIENT_ID,
  rows,
};
