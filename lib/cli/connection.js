'use strict';

// Opens the command line's connections to a server, directly or through a proxy, and adds TLS.

const { once } = require('node:events');
const net = require('node:net');
const tls = require('node:tls');
const { hostOf, portOf } = require('./proxy-choice.js');

const LONGEST_HEAD = 16_384;

/** The error for a proxy that answered but opened no tunnel. */
class TunnelError extends Error {
  constructor(message, details) {
    super(message);
    Object.assign(this, details);
  }
}

async function connect(host, port, signal) {
  const socket = net.connect({ host, port });
  await opened(socket, 'connect', signal);
  return socket;
}

async function opened(socket, event, signal) {
  const stop = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  // A connection may break at any later time. This listener ignores the error, because a read then
  // reports the failure.
  socket.on('error', () => {});
  try {
    await once(socket, event, { signal });
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Opens the connection that carries a request to the URL, directly or through the proxy. */
async function openPath(url, proxy, { signal, secureContext }) {
  if (proxy.url === undefined) return connect(hostOf(url), portOf(url), signal);
  let socket = await connect(proxy.host, proxy.port, signal);
  if (proxy.url.protocol === 'https:') {
    socket = await secure(socket, proxy.host, { signal, secureContext });
  }
  if (url.protocol === 'http:' && proxy.url.protocol.startsWith('http')) return socket;
  const open = proxy.url.protocol.startsWith('http') ? httpTunnel : socksTunnel;
  await open(socket, url, proxy.url, signal);
  return socket;
}

/** Returns the value of the header `Proxy-Authorization`, if the URL has a user name or password. */
function proxyAuthorization({ username, password }) {
  if (username === '' && password === '') return undefined;
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

async function httpTunnel(socket, url, proxy, signal) {
  const target = `${url.hostname}:${portOf(url)}`;
  const authorization = proxyAuthorization(proxy);
  const head = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`];
  if (authorization !== undefined) head.push(`Proxy-Authorization: ${authorization}`);
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  const answer = await readUntil(socket, (bytes) => bytes.includes('\r\n\r\n'), signal);
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer.toString('latin1'))?.[1]);
  if (status >= 200 && status < 300) return;
  socket.destroy();
  throw new TunnelError('the proxy refused to open a tunnel', { status });
}

/** Opens a SOCKS 5 tunnel (RFC 1928). Sends the URL's user name and password, if any (RFC 1929). */
async function socksTunnel(socket, url, proxy, signal) {
  const [user, password] = [proxy.username, proxy.password].map((part) =>
    Buffer.from(decodeURIComponent(part)),
  );
  const hasUser = user.length + password.length > 0;
  socket.write(Buffer.from(hasUser ? [5, 2, 0, 2] : [5, 1, 0]));
  const [, method] = await readUntil(socket, (bytes) => bytes.length >= 2, signal);
  if (method === 2) {
    socket.write(Buffer.from([1, user.length, ...user, password.length, ...password]));
    const [, refused] = await readUntil(socket, (bytes) => bytes.length >= 2, signal);
    if (refused !== 0) {
      throw new TunnelError('the proxy refused the user name or password', { status: 407 });
    }
  } else if (method !== 0) {
    throw new TunnelError('the proxy accepted none of the offered authentication methods', {
      status: 407,
    });
  }
  const host = Buffer.from(hostOf(url));
  const port = portOf(url);
  socket.write(Buffer.from([5, 1, 0, 3, host.length, ...host, port >> 8, port & 255]));
  const [, reply] = await readUntil(socket, (bytes) => bytes.length >= 5, signal);
  if (reply !== 0) throw new TunnelError('the proxy refused to open a tunnel', { reply });
}

async function readUntil(socket, isComplete, signal) {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const chunk = socket.read();
    if (chunk !== null) bytes = Buffer.concat([bytes, chunk]);
    if (isComplete(bytes)) return bytes;
    if (bytes.length > LONGEST_HEAD)
      throw new TunnelError("the proxy's response headers are too long", {});
    if (socket.readableEnded || socket.destroyed) {
      throw Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
    }
    if (chunk === null) await Promise.race([once(socket, 'readable', { signal }), closed(socket)]);
  }
}

const closed = (socket) => new Promise((resolve) => socket.once('close', resolve));

/**
 * Performs a TLS handshake on the connection. With `inspects`, accepts any certificate; the caller
 * must then send no data, and must close the connection.
 */
async function secure(socket, host, { signal, secureContext, inspects = false }) {
  const servername = net.isIP(host) === 0 ? host : undefined;
  const over = tls.connect({
    socket,
    host,
    servername,
    secureContext,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: !inspects,
  });
  const ended = new Promise((_, reject) => {
    socket.once('close', () => {
      reject(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    });
  });
  ended.catch(() => {});
  await Promise.race([opened(over, 'secureConnect', signal), ended]);
  return over;
}

module.exports = { TunnelError, connect, openPath, proxyAuthorization, secure };
