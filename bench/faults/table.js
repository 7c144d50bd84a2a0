'use strict';

// The faults: how each is caused, and how it may affect callers without a token. Whatever the
// fault, a caller gets a valid held token at once; `run.js` checks this.

const fs = require('node:fs');

const LIFE_SECONDS = 300;
const BUFFER_SECONDS = 60;
const REQUEST_TIMEOUT_MS = 3_000;
const HOUR_MS = 3_600_000;
/** Between the start of the buffer and the end of the token. */
const STALE_AGE_MS = 245_000;
/** Longer than the deadline of a request. */
const PAST_DEADLINE_MS = REQUEST_TIMEOUT_MS + 500;
/** Well before the deadline, and long enough for another event in between. */
const SLOW_MS = 400;
const ABORT_AFTER_MS = 50;
const BLOCKED_SECONDS = REQUEST_TIMEOUT_MS / 1000 + 1;
const WORKER_CLIENT_ID = 'worker';
/** The limit of file descriptors of a process that has none left. */
const FEW_FILES = 128;

const SERVED = [];
const NETWORK = ['ERR_KEYCLOAK_NETWORK'];
const TIMEOUT = ['ERR_KEYCLOAK_TIMEOUT'];
const PROTOCOL = ['ERR_KEYCLOAK_PROTOCOL'];
const HTTP = ['ERR_KEYCLOAK_HTTP'];
const OAUTH = ['ERR_KEYCLOAK_OAUTH'];

const each = (cell, act) => Promise.all(Object.entries(cell.endpoints).map(act));
const setAnswer = (cell, answer) => each(cell, ([, endpoint]) => endpoint.setAnswer(answer));

/** A fault in the answers of the endpoint, until it is restored. */
function answering(make) {
  return {
    begin: (cell) => setAnswer(cell, typeof make === 'function' ? make(cell) : make),
    end: (cell) => each(cell, ([, endpoint]) => endpoint.restore()),
  };
}

/** A page of a gateway that shows the request. */
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

/** The connections that exist get no answer any more, and are not closed. */
const deafenOldConnections = (cell) =>
  each(cell, ([, endpoint]) => {
    const last = endpoint.connectionCount;
    endpoint.setAnswer(({ connection }) => (connection <= last ? { fault: 'hang' } : {}));
  });

/** The server has a new secret, which is written to the file at the first refusal. */
const rotateSecret = (cell) =>
  each(cell, ([side, endpoint]) => {
    endpoint.setSecret(cell.clientId, cell.newSecret);
    endpoint.setAnswer(() => {
      fs.writeFileSync(cell.files[side], cell.newSecret);
      return {};
    });
  });

/** Clocks jump during a request, or while callers are served from the cache. */
const jumping = (steps, later) => ({
  ages: false,
  begin: (cell) => setAnswer(cell, { delayMs: SLOW_MS }),
  async during({ client, arrived, situation }) {
    if (situation === 'none') await arrived();
    await client.ask('jump', steps);
    if (situation === 'held' && later) await client.ask('pass', later);
  },
});

/** The process has no free file descriptor and no kept connection. */
const withoutFiles = {
  openFiles: FEW_FILES,
  async begin(cell) {
    await dropConnections(cell);
    await cell.client.ask('openFiles');
  },
  end: ({ client }) => client.ask('closeFiles'),
};

/** Look-ups `fail` or `hang`, and the process has no kept connection. */
const withNames = (state) => ({
  host: 'keycloak.test',
  async begin(cell) {
    await dropConnections(cell);
    await cell.client.ask('letNames', state);
  },
  end: ({ client }) => client.ask('letNames', 'work'),
});

/**
 * `none` lists the codes that callers without a token get; if it is empty, they are served. Further
 * members, whose defaults are in `run.js`:
 *
 * - `begin`, `during`, `end`: start the fault, run during the calls, end the fault
 * - `lastsMs`: the duration
 * - `situations`: which of `held` and `none` are run
 * - `ages`: whether a held token is made stale when the fault has begun
 * - `expiresIn`, `bufferSeconds`, `ageMs`: the life of the token
 * - `isWarm`: whether callers without a token had one before, and therefore a connection
 * - `credential`, `host`, `openFiles`, `abortAfterMs`: for the process that meets the fault
 * - `mayRenew`: the situations in which, by contract, a token counts as expired that the server
 *   still accepts, because of the wall clock
 * - `isHeavy`: whether each side needs its own process
 * - `exits`: whether the process ends during the flight
 */
const rows = [
  { name: 'slow answer', detail: '400 ms', none: SERVED, ...answering({ delayMs: SLOW_MS }) },
  {
    name: 'dripping answer',
    detail: 'a byte every 50 ms',
    none: TIMEOUT,
    lastsMs: PAST_DEADLINE_MS,
    ...answering({ fault: 'drip', dripMs: 50 }),
  },
  {
    name: 'flood',
    detail: 'a body of 400 MB',
    none: PROTOCOL,
    isHeavy: true,
    ...answering({ fault: 'flood' }),
  },
  { name: 'redirect', detail: '307', none: PROTOCOL, ...answering({ fault: 'redirect' }) },
  { name: 'torn 200', detail: 'half a body', none: NETWORK, ...answering({ fault: 'truncate' }) },
  { name: 'HTML 502', detail: 'the page shows the form', none: HTTP, ...answering(gatewayPage) },
  {
    name: 'connection refused',
    none: NETWORK,
    begin: (cell) => each(cell, ([, endpoint]) => endpoint.goOffline()),
    end: (cell) => each(cell, ([, endpoint]) => endpoint.goOnline()),
  },
  { name: 'connection reset', none: NETWORK, ...answering({ fault: 'reset' }) },
  {
    name: 'dead kept connection',
    detail: 'acknowledges, never answers',
    none: TIMEOUT,
    // Young enough for its connection to be kept.
    expiresIn: 20,
    bufferSeconds: 10,
    ageMs: 12_000,
    isWarm: true,
    begin: deafenOldConnections,
    end: (cell) => each(cell, ([, endpoint]) => endpoint.restore()),
  },
  {
    name: 'silent server',
    detail: 'accepts, never answers',
    none: TIMEOUT,
    lastsMs: PAST_DEADLINE_MS,
    ...answering({ fault: 'hang' }),
  },
  {
    name: 'wrong secret',
    none: OAUTH,
    begin: (cell) =>
      each(cell, ([, endpoint]) => endpoint.setSecret(cell.clientId, cell.newSecret)),
    end: (cell) => each(cell, ([, endpoint]) => endpoint.restore()),
  },
  {
    name: 'rotated secret in a file',
    detail: 'replaced at the first refusal',
    none: SERVED,
    credential: 'file',
    begin: rotateSecret,
  },
  {
    name: 'rotated secret of a function',
    detail: 'replaced at the first refusal',
    none: SERVED,
    credential: 'function',
    begin: rotateSecret,
  },
  {
    name: 'wall clock 2 h ahead',
    detail: 'all at once',
    none: SERVED,
    mayRenew: ['held', 'none'],
    ...jumping({ wallMs: 2 * HOUR_MS }),
  },
  {
    name: 'wall clock 2 h back',
    detail: 'then the token runs out',
    none: SERVED,
    ...jumping({ wallMs: -2 * HOUR_MS }, (LIFE_SECONDS + 1) * 1000),
  },
  {
    name: 'suspended for 2 h',
    detail: 'monotonic clock stands',
    none: SERVED,
    mayRenew: ['none'],
    ...jumping({ wallMs: 2 * HOUR_MS, boottimeMs: 2 * HOUR_MS, truthMs: 2 * HOUR_MS }),
  },
  {
    name: 'blocked event loop',
    detail: '4 s, past the end of the token',
    none: SERVED,
    ages: false,
    begin: (cell) => setAnswer(cell, { delayMs: SLOW_MS }),
    async during({ client, arrived, situation }) {
      if (situation === 'none') await arrived();
      const passedMs = situation === 'held' ? [STALE_AGE_MS, 60_000] : [0, 0];
      await client.ask('block', { seconds: BLOCKED_SECONDS, passedMs });
    },
  },
  {
    name: 'worker killed in a flight',
    none: SERVED,
    begin: (cell) =>
      setAnswer(cell, ({ clientId }) =>
        clientId === WORKER_CLIENT_ID ? { fault: 'hang' } : { delayMs: SLOW_MS },
      ),
    async during({ client, arrived }) {
      await client.ask('startWorker');
      // That of the main thread, and that of the worker.
      await arrived(2);
      await client.ask('killWorker');
    },
  },
  {
    name: 'process exit in a flight',
    none: SERVED,
    exits: true,
    begin: (cell) => setAnswer(cell, { fault: 'hang' }),
    during: ({ arrived }) => arrived(),
  },
  {
    name: 'callers who leave',
    detail: 'half of them, after 50 ms, server silent',
    none: ['AbortError', ...TIMEOUT],
    abortAfterMs: ABORT_AFTER_MS,
    lastsMs: PAST_DEADLINE_MS,
    ...answering({ fault: 'hang' }),
  },
  { name: 'no file descriptor left', none: NETWORK, isWarm: true, ...withoutFiles },
  {
    name: 'no file descriptor at the start',
    none: NETWORK,
    ...withoutFiles,
    situations: ['none'],
  },
  { name: 'name not found', none: NETWORK, ...withNames('fail') },
  { name: 'hanging look-up', detail: '6 s', none: TIMEOUT, lastsMs: 6_000, ...withNames('hang') },
];

module.exports = {
  BUFFER_SECONDS,
  LIFE_SECONDS,
  REQUEST_TIMEOUT_MS,
  STALE_AGE_MS,
  WORKER_CLIENT_ID,
  rows,
};
