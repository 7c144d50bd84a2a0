'use strict';

/**
 * A server for any purpose, such as the resource server in the tests of `fetch`, and a manager for
 * it.
 */

const http = require('node:http');
const https = require('node:https');
const { listen } = require('./listen.js');
const { numbered, start } = require('./manager.js');

/**
 * Starts a server that the test stops at its end, over TLS if `tls` is given. `answer(request,
 * response, body)` returns a text, or an array of a status, headers and a text; if it returns
 * nothing, it sends the response itself. `requests` lists the requests in order.
 */
async function startApi(t, answer = () => 'ok', { tls, ...place } = {}) {
  const requests = [];
  let connectionCount = 0;
  let notify = () => {};
  const serve = async (request, response) => {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return;
    }
    const { method, url, headers } = request;
    const body = Buffer.concat(chunks).toString('latin1');
    requests.push({ method, url, headers, body });
    notify();
    const result = await answer(request, response, body);
    if (result === undefined) return;
    const [status, fields, text] = Array.isArray(result) ? result : [200, {}, result];
    response.writeHead(status, fields).end(text);
  };
  const server = tls ? https.createServer(tls, serve) : http.createServer(serve);
  server.on('connection', () => {
    connectionCount += 1;
  });
  const listening = await listen(t, server, place);
  return {
    ...listening,
    server,
    requests,
    get connectionCount() {
      return connectionCount;
    },
    /** Resolves when this many requests have arrived. */
    arrived: (count) =>
      new Promise((resolve) => {
        notify = () => requests.length >= count && resolve();
        notify();
      }),
  };
}

/** Starts such a server and a manager for it, whose tokens are `token-1`, `token-2` and so on. */
async function startBoth(t, answer, { resource, expiresIn, ...options } = {}) {
  const api = await startApi(t, answer);
  const parts = await start(t, { resource: { baseUrl: api.url, ...resource }, ...options });
  parts.endpoint.setAnswer(numbered(expiresIn));
  return { api, ...parts };
}

/** The token of a request. */
const bearer = ({ headers }) => headers.authorization.replace('Bearer ', '');

/** Answers 401 with a body to requests without one of these tokens. */
function accepting(tokens, answer = () => 'ok') {
  return (request, response, body) => {
    return tokens.has(bearer(request))
      ? answer(request, response, body)
      : [401, { 'WWW-Authenticate': 'Bearer' }, 'refused'];
  };
}

module.exports = { accepting, bearer, startApi, startBoth };
