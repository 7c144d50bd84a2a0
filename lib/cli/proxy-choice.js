'use strict';

// Chooses the proxy of a request by the rules in `docs/network.md`. The native core chooses its
// proxy itself; a test compares the two choices.

const net = require('node:net');

const SCHEMES = ['http:', 'https:', 'socks5:', 'socks5h:'];
const DEFAULT_PORTS = { 'http:': 80, 'https:': 443, 'socks5:': 1080, 'socks5h:': 1080 };

/**
 * Returns `{ why }` if no proxy applies, `{ fault, source }` if the value is not a proxy URL, and
 * otherwise `{ source, url, host, port }`.
 *
 * @param {URL} url the target
 * @param {string | false | undefined} option the option `proxy`
 */
function chooseProxy(url, option, env) {
  if (option === false) return { why: 'the option proxy is false' };
  if (option !== undefined) return parsed(option, 'the option proxy');
  const upper = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  // A name in lower case takes precedence.
  const name = env[upper.toLowerCase()] === undefined ? upper : upper.toLowerCase();
  const value = (env[name] ?? '').trim();
  if (value === '') return { why: `${name} is not set` };
  if (isLoopback(hostOf(url))) return { why: `${hostOf(url)} is a loopback address` };
  const entry = exemption(url, env.no_proxy ?? env.NO_PROXY ?? '');
  if (entry !== undefined) return { why: `NO_PROXY contains ${entry}` };
  return parsed(value, name);
}

function parsed(value, source) {
  const text = value.trim();
  const whole = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || !SCHEMES.includes(url.protocol) || url.hostname === '') {
    return { source, fault: 'is not the URL of an http, https or SOCKS5 proxy' };
  }
  return { source, url, host: hostOf(url), port: portOf(url) };
}

const hostOf = ({ hostname }) => hostname.replace(/^\[|\]$/g, '');
const portOf = ({ port, protocol }) => Number(port) || DEFAULT_PORTS[protocol];

function isLoopback(host) {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  return net.isIPv4(host) ? host.startsWith('127.') : host === '::1';
}

/** Returns the entry of `NO_PROXY` that matches the host of the URL. */
function exemption(url, list) {
  const isFor = (entry) => names(entry.toLowerCase().replace(/\.+$/, ''), url);
  return list.split(/[\s,]+/).find((entry) => entry !== '' && isFor(entry));
}

function names(entry, url) {
  // A trailing dot marks a name as fully qualified.
  const host = hostOf(url).replace(/\.$/, '');
  if (entry === '*') return true;
  if (net.isIP(host) !== 0 && isRangeWith(entry, host)) return true;
  const [, name, port] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (name === undefined || (port !== undefined && Number(port) !== portOf(url))) return false;
  const plain = name.replace(/^\[|\]$/g, '');
  if (plain.startsWith('*.')) return host.endsWith(plain.slice(1));
  const domain = plain.replace(/^\./, '');
  return (
    domain !== '' && (host === domain || (net.isIP(host) === 0 && host.endsWith(`.${domain}`)))
  );
}

/**
 * Whether the entry is a range, such as `10.0.0.0/8` or `10.0.0.1-10.0.0.9`, that contains this
 * address.
 */
function isRangeWith(entry, address) {
  const family = (text) => (net.isIPv6(text) ? 'ipv6' : 'ipv4');
  const list = new net.BlockList();
  try {
    const [network, bits] = entry.split('/');
    const [first, last] = entry.split('-');
    if (bits !== undefined) list.addSubnet(network, Number(bits), family(network));
    else if (last !== undefined) list.addRange(first, last, family(first));
    else return false;
    return list.check(address, family(address));
  } catch {
    return false;
  }
}

module.exports = { chooseProxy, hostOf, isLoopback, portOf };
