'use strict';

// Checks the path to the server: name look-up, connection and proxy. With a proxy, these steps look
// up the proxy and connect to it, because the proxy looks up the server's name.

const dns = require('node:dns/promises');
const net = require('node:net');
const { TunnelError, connect, openPath } = require('../connection.js');
const { failed, faultOf, ok } = require('../finding.js');
const { hostOf, portOf } = require('../proxy-choice.js');
const { secureContext } = require('../trust.js');

/**
 * Returns the host and port to connect to, and `what`, which messages append to the host;
 * `undefined` if the proxy setting is invalid.
 */
function nextHop({ target, proxy }) {
  if (proxy.fault !== undefined) return undefined;
  if (proxy.url === undefined) return { host: hostOf(target), port: portOf(target), what: '' };
  return { host: proxy.host, port: proxy.port, what: ` (the proxy from ${proxy.source})` };
}

const noProxyHint = ({ proxy, target }) =>
  proxy.url === undefined && proxy.why.endsWith('is not set')
    ? `; if this network needs a proxy, set ${target.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'}`
    : '';

const lookUp = {
  name: 'name look-up',
  needs: ['options'],
  async run(context) {
    const hop = nextHop(context);
    if (hop === undefined) return undefined;
    const { host, what } = hop;
    if (net.isIP(host) !== 0) return ok(`${host}${what} needs no look-up`);
    try {
      const found = await dns.lookup(host, { all: true });
      return ok(`${host}${what}: ${found.map(({ address }) => address).join(', ')}`);
    } catch ({ code }) {
      const answer =
        code === 'ENOTFOUND' ? 'could not resolve the host name' : 'the name server did not answer';
      const check =
        proxyName(context) ??
        `check the host in ${optionOf(context)} and this machine's DNS configuration`;
      return failed(`${host}${what}: ${answer} (${code})`, `${check}${noProxyHint(context)}`);
    }
  },
};

const optionOf = ({ options }) =>
  options.tokenEndpoint === undefined ? 'issuer' : 'tokenEndpoint';
const proxyName = ({ proxy }) =>
  proxy.url === undefined ? undefined : `check the host in ${proxy.source}`;

const tcp = {
  name: 'connection',
  needs: ['name look-up'],
  async run(context, signal) {
    const hop = nextHop(context);
    if (hop === undefined) return undefined;
    const { host, port, what } = hop;
    try {
      const socket = await connect(host, port, signal);
      const { remoteAddress } = socket;
      socket.destroy();
      return ok(`${remoteAddress} accepts connections on port ${port}${what}`);
    } catch (error) {
      const isRefused = error.code === 'ECONNREFUSED';
      const advice = isRefused
        ? 'check that the server or proxy is running and listening on this port'
        : 'check firewalls and network policies';
      return failed(
        `${host}:${port}${what}: ${faultOf(error, context.redactor)}`,
        `${advice}${noProxyHint(context)}`,
      );
    }
  },
};

const proxy = {
  name: 'proxy',
  needs: ['connection'],
  async run(context, signal) {
    const { target, proxy: chosen, redactor } = context;
    if (chosen.fault !== undefined) {
      const advice = 'set it to a URL such as http://proxy.example:3128';
      return failed(`${chosen.source} ${chosen.fault}`, advice);
    }
    if (chosen.url === undefined) return ok(`none, because ${chosen.why}`);
    const { protocol, host } = chosen.url;
    const name = `the proxy ${protocol}//${host}, from ${chosen.source},`;
    if (target.protocol === 'http:' && protocol.startsWith('http')) {
      return ok(`${name} forwards plain http`);
    }
    try {
      const socket = await openPath(target, chosen, {
        signal,
        secureContext: secureContext(context),
      });
      socket.destroy();
      return ok(`${name} opens a tunnel to ${target.host}`);
    } catch (error) {
      return refusedTunnel(error, name, chosen, target, redactor);
    }
  },
};

function refusedTunnel(error, name, chosen, target, redactor) {
  const isTunnel = error instanceof TunnelError;
  const status = error.status === undefined ? '' : ` (status ${error.status})`;
  const fault = isTunnel ? `${error.message}${status}` : faultOf(error, redactor);
  const text = `${name.slice(0, -1)}: ${fault}`;
  if (error.status === 407) {
    return failed(text, `check the user name and password in ${chosen.source}`);
  }
  if (isTunnel) {
    return failed(
      text,
      `allow ${target.hostname} on the proxy, or add ${target.hostname} to NO_PROXY if this machine ` +
        'can reach the server directly',
    );
  }
  return failed(text, `check that ${chosen.source} is the URL of a proxy and has the right scheme`);
}

module.exports = { steps: [lookUp, tcp, proxy] };
