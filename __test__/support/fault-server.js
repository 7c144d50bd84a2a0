'use strict';

// An endpoint in its own process.

const { fork } = require('node:child_process');
const { once } = require('node:events');

/**
 * A fake token endpoint in a separate process until the test ends. `set('setAnswer', { … })` calls
 * a method there and returns its result; functions cannot be sent.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../../lib/testing').FakeTokenEndpointOptions} [options]
 */
async function startFakeTokenEndpointProcess(t, options = {}) {
  const child = fork(__filename, [], { execArgv: [], serialization: 'advanced' });
  const waiting = new Map();
  let count = 0;
  child.on('message', ({ id, error, value }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(error);
    else resolve(value);
  });
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) {
      reject(new Error(`the process of the endpoint ended with code ${code}`));
    }
    waiting.clear();
  });
  const set = (name, ...args) =>
    new Promise((resolve, reject) => {
      count += 1;
      waiting.set(count, { resolve, reject });
      child.send({ id: count, name, args }, (error) => error && reject(error));
    });

  t.after(async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, 'exit');
    if (child.connected) child.disconnect();
    await exited;
  });
  return { ...(await set('start', options)), stats: () => set('stats'), set };
}

/** The other end of `startFakeTokenEndpointProcess`. */
function serveParent() {
  const { startFakeTokenEndpoint } = require('../../lib/testing');
  let endpoint;
  const methods = {
    async start(options) {
      endpoint = await startFakeTokenEndpoint(options);
      const { url, tokenEndpoint, issuer, jwksUri } = endpoint;
      return { url, tokenEndpoint, issuer, jwksUri };
    },
    stats: () => ({
      requestCount: endpoint.requestCount,
      connectionCount: endpoint.connectionCount,
    }),
  };
  process.on('message', async ({ id, name, args }) => {
    try {
      const value = await (methods[name] ?? endpoint[name].bind(endpoint))(...args);
      process.send({ id, value });
    } catch (error) {
      process.send({ id, error });
    }
  });
  process.on('disconnect', () => process.exit());
}

if (require.main === module) serveParent();

module.exports = { startFakeTokenEndpointProcess };
