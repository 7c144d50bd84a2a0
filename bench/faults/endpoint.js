'use strict';

// A token endpoint in its own process, so that its work does not delay other endpoints.

const { RemoteProcess, serve } = require('../remote.js');

const LIMIT_MS = 60_000;

/** Starts the endpoint; its methods are those of the endpoint in `lib/testing`, as promises. */
async function startDistantEndpoint(options) {
  const remote = new RemoteProcess(__filename, { limitMs: LIMIT_MS });
  const tokenEndpoint = await remote.ask('start', options);
  const names = ['setAnswer', 'restore', 'waitForRequests', 'countRequests'];
  const methods = names.map((name) => [name, (...args) => remote.ask(name, ...args)]);
  return { tokenEndpoint, ...Object.fromEntries(methods), close: () => remote.kill() };
}

function serveEndpoint() {
  const { startFakeTokenEndpoint } = require('../../lib/testing');
  let endpoint;
  serve({
    async start(options) {
      endpoint = await startFakeTokenEndpoint(options);
      return endpoint.tokenEndpoint;
    },
    setAnswer: (answer) => endpoint.setAnswer(answer),
    restore: () => endpoint.restore(),
    waitForRequests: (count) => endpoint.waitForRequests(count).then(() => undefined),
    countRequests: () => endpoint.requestCount,
  });
}

if (require.main === module) serveEndpoint();

module.exports = { startDistantEndpoint };
