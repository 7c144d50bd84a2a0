'use strict';

const { once } = require('node:events');
const https = require('node:https');

/**
 * Listens on loopback until the test ends. `stop()` also ends the connections, which are in
 * `sockets`.
 *
 * @param {import('node:test').TestContext | undefined} t without `t`, the caller stops the server
 */
async function listen(t, server, { host = '127.0.0.1', port = 0 } = {}) {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A client may reset its connection, which is not an error of the server.
    socket.on('error', () => {});
  });
  server.listen(port, host);
  await once(server, 'listening');
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  t?.after(stop);
  const address = `127.0.0.1:${server.address().port}`;
  const url = `${server instanceof https.Server ? 'https' : 'http'}://${address}`;
  return { port: server.address().port, address, url, sockets, stop };
}

module.exports = { listen };
