'use strict';

// The listening socket and its connections. The listener numbers, resets and closes the
// connections, and does not know about tokens.

const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');

const HOST = '127.0.0.1';

function makeServer(tls) {
  if (!tls) return http.createServer();
  try {
    return https.createServer({ key: tls.key, cert: tls.cert });
  } catch (cause) {
    throw new TypeError('tls must hold a PEM key and a PEM cert that belong together', { cause });
  }
}

class Listener {
  /** The number of connections that the listener has accepted. */
  count = 0;
  #server;
  #scheme;
  #port = 0;
  /** The number and the TCP socket of each connection, keyed by the socket of its requests. */
  #connections = new WeakMap();
  /** The open connections, keyed by remote port, so that a TLS socket finds its TCP socket. */
  #open = new Map();

  /**
   * @param {{ key: string | Buffer, cert: string | Buffer } | undefined} tls
   * @param {http.RequestListener} onRequest
   */
  constructor(tls, onRequest) {
    this.#scheme = tls ? 'https' : 'http';
    this.#server = makeServer(tls);
    // Keeps idle connections open, so that a test can observe how a client closes them.
    this.#server.keepAliveTimeout = 0;
    this.#server.on('connection', (socket) => this.#onConnection(socket));
    this.#server.on('secureConnection', (socket) => this.#onSecureConnection(socket));
    this.#server.on('request', onRequest);
  }

  get origin() {
    return `${this.#scheme}://${HOST}:${this.#port}`;
  }

  /** Starts listening: the first time on a free port, and later on that same port. */
  async open() {
    if (this.#server.listening) return;
    this.#server.listen(this.#port, HOST);
    await once(this.#server, 'listening');
    this.#port = this.#server.address().port;
  }

  /** Stops listening and ends all connections. */
  async close() {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.#open.values()) socket.destroy();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Returns the number of the connection that carries a request. */
  numberOf(request) {
    return this.#connections.get(request.socket).number;
  }

  /** Ends the connection of a request with a TCP RST. */
  reset(request) {
    this.#connections.get(request.socket).socket.resetAndDestroy();
  }

  #onConnection(socket) {
    this.count += 1;
    const port = socket.remotePort;
    const connection = { number: this.count, socket };
    this.#connections.set(socket, connection);
    this.#open.set(port, connection);
    socket.once('close', () => this.#open.delete(port));
  }

  #onSecureConnection(socket) {
    const connection = this.#open.get(socket.remotePort);
    // The socket of a client that has already disconnected has no port and needs no answer.
    if (connection) this.#connections.set(socket, connection);
    else socket.destroy();
  }
}

module.exports = { Listener };
