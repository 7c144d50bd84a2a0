'use strict';

// The parts of the demo, in their order at the end of this file. Each makes its own manager, shows
// and checks one feature, and returns the snapshot of its manager.

const { createPublicKey, verify } = require('node:crypto');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('../..');
const screen = require('./screen.js');
const { legend, summary, traffic } = require('./traffic.js');

const DELAY_MS = 300;

function makeManager({ tokenEndpoint, clientId, clientSecret }, options) {
  return new KeycloakTokenManager({ tokenEndpoint, clientId, clientSecret, ...options });
}

async function closed(manager) {
  const snapshot = manager.snapshot();
  await manager.close();
  return snapshot;
}

async function timed(action) {
  const start = performance.now();
  const value = await action();
  return [value, performance.now() - start];
}

const firstToken = {
  title: 'A token',
  async run(server) {
    const manager = makeManager(server);
    const [{ token, scope, expiresAt }, took] = await timed(() => manager.getAccessToken());
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    const { secondsToSoftExpiry, secondsToHardExpiry } = manager.snapshot();
    const life = claims.exp - claims.iat;
    screen.row(
      'token',
      `${screen.shorten(token)} ${screen.count(token.length)} characters, in ${screen.ms(took)}`,
    );
    screen.row('issuer', claims.iss);
    screen.row('subject', claims.preferred_username ?? claims.sub);
    screen.row('client', claims.azp);
    screen.row('roles', claims.realm_access?.roles.join(', ') ?? 'none');
    screen.row('scope', scope ?? claims.scope ?? '–');
    screen.row('life', `${screen.seconds(life)}; handed out until ${screen.clockTime(expiresAt)}`);
    const [from, to] = [0.91, 1].map((share) => screen.seconds(secondsToSoftExpiry * share));
    screen.row('replaced', `in ${from} to ${to}, if it is used, in the background`);
    const calls = 100_000;
    let again;
    const [, all] = await timed(async () => {
      for (let call = 0; call < calls; call += 1) again = await manager.getToken();
    });
    const each = `${screen.count((all / calls) * 1e6)} ns each, from memory`;
    screen.row('the next calls', `${screen.count(calls)} one after the other, ${each}`);
    screen.claim(await isGenuine(token, claims.iss), "its signature is the issuer's");
    screen.claim(again === token, 'the next calls give the same token');
    screen.claim(
      secondsToHardExpiry > 0 && secondsToHardExpiry < life,
      'we stop handing it out before it expires',
    );
    return closed(manager);
  },
};

/** Whether the token verifies against the keys that its issuer publishes. */
async function isGenuine(token, issuer) {
  const [header, payload, signature] = token.split('.');
  const { kid } = JSON.parse(Buffer.from(header, 'base64url'));
  const answer = await fetch(`${issuer}/protocol/openid-connect/certs`);
  const { keys } = await answer.json();
  const key = createPublicKey({ key: keys.find((jwk) => jwk.kid === kid), format: 'jwk' });
  const signed = Buffer.from(`${header}.${payload}`);
  return verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url'));
}

const manyCallers = {
  title: '1,000 callers at once, no token yet',
  async run(server) {
    const callers = 1000;
    const manager = makeManager(server);
    const before = server.endpoint.requestCount;
    const [tokens, took] = await timed(() =>
      Promise.all(Array.from({ length: callers }, () => manager.getToken())),
    );
    const requests = server.endpoint.requestCount - before;
    screen.bar('callers', callers, callers);
    screen.bar('requests', requests, callers);
    screen.row('answered', `all in ${screen.ms(took)}`);
    screen.claim(requests === 1, 'one request');
    screen.claim(new Set(tokens).size === 1, 'all callers have the same token');
    return closed(manager);
  },
};

const refresh = {
  title: 'A refresh in the background',
  async run(server) {
    const { endpoint } = server;
    endpoint.setExpiresIn(3);
    endpoint.setDelay(DELAY_MS);
    const manager = makeManager(server);
    await manager.getToken();
    const before = endpoint.requestCount;
    screen.say(`A token of 3 s, an endpoint that takes ${DELAY_MS} ms, a call every 4 ms.`);
    legend();
    const seen = await traffic(manager, {
      isOver: (elapsed, { tokens }) => tokens > 2 || elapsed > 6000,
    });
    const requests = endpoint.requestCount - before;
    summary(seen);
    screen.row('requests', `${requests} for ${seen.tokens - 1} new tokens`);
    screen.claim(seen.tokens > 2, 'the token was replaced twice');
    screen.claim(
      seen.failures === 0 && seen.worst < DELAY_MS / 2,
      `no caller waited for a request (${DELAY_MS} ms)`,
    );
    endpoint.setDelay(0);
    return closed(manager);
  },
};

const outage = {
  title: 'Keycloak is down while the token lives',
  async run(server) {
    const { endpoint } = server;
    endpoint.setExpiresIn(7);
    const lines = [];
    const start = performance.now();
    const log = (level, paint) => (message) => {
      const at = screen.seconds((performance.now() - start) / 1000);
      lines.push({ level, text: screen.formatLong(`log ${at}`, paint, `${level} ${message}`) });
    };
    const logger = {
      error: log('error', screen.red),
      warn: log('warn', screen.yellow),
      info: log('info', screen.green),
      debug: log('debug', screen.dim),
    };
    const manager = makeManager(server, { logger });
    await manager.getToken();
    screen.say(
      'A token of 7 s. Keycloak goes away at once (×) and comes back after the first failure.',
    );
    screen.say('The held token is fresh (━), then due for replacement but still valid (╌).');
    let isDown = true;
    await endpoint.goOffline();
    const has = (level) => lines.some((line) => line.level === level);
    const seen = await traffic(manager, {
      isOver: (elapsed, { tokens }) => {
        if (isDown && has('warn')) {
          isDown = false;
          endpoint.goOnline();
        }
        return (tokens > 1 && has('info')) || elapsed > 9000;
      },
      tracks: [
        { label: 'Keycloak', sign: () => (isDown ? screen.red('×') : screen.green('━')) },
        { label: 'held token', sign: () => stateSign(manager.snapshot().state) },
      ],
      below: () => lines.flatMap(({ text }) => text),
    });
    summary(seen);
    screen.claim(has('warn'), 'a refresh failed, and the log says so');
    screen.claim(seen.failures === 0, 'every call was served all the same');
    screen.claim(seen.tokens > 1 && has('info'), 'it recovered by itself');
    endpoint.setExpiresIn(300);
    return closed(manager);
  },
};

function stateSign(state) {
  if (state === 'fresh') return screen.green('━');
  return state === 'stale' ? screen.yellow('╌') : screen.red('×');
}

const rotatedSecret = {
  title: 'The secret is rotated',
  async run(server) {
    const { endpoint, clientSecret: old } = server;
    const rotated = 'another one, from a vault';
    screen.say('The secret is a function that asks a vault, and the vault is late by one read.');
    let reads = 0;
    const vault = () => {
      reads += 1;
      return reads <= 2 ? old : rotated;
    };
    endpoint.setDelay(DELAY_MS / 2);
    const manager = makeManager(server, { clientSecret: vault });
    const first = await manager.getToken();
    endpoint.setSecret(server.clientId, rotated);
    const before = endpoint.requestCount;
    let replacement;
    manager.getToken({ forceRefresh: true }).then(
      (token) => {
        replacement = token;
      },
      (error) => screen.say(error.message),
    );
    const seen = await traffic(manager, {
      isOver: (elapsed, { tokens }) => (tokens > 1 && elapsed > 800) || elapsed > 3000,
    });
    const statuses = endpoint.requests.slice(before).map(({ status }) => status);
    screen.row('vault gave', 'the secret; the same, too late; the new one');
    screen.row(
      'requests',
      statuses
        .map((status) => (status === 200 ? screen.green(status) : screen.yellow(status)))
        .join(', then '),
    );
    summary(seen);
    screen.claim(
      reads === 3 && statuses.join() === '401,200',
      'refused once, read again, accepted',
    );
    screen.claim(
      seen.failures === 0 && replacement !== undefined && replacement !== first,
      'a new token, and no failed call',
    );
    endpoint.setSecret(server.clientId, old);
    endpoint.setDelay(0);
    return closed(manager);
  },
};

const wrongSecret = {
  title: 'A wrong secret',
  async run(server) {
    const wrong = 'not-the-secret';
    const manager = makeManager(server, { clientSecret: wrong });
    const before = server.endpoint?.requestCount;
    const error = await manager.getToken().catch((reason) => reason);
    screen.print(`   ${screen.red(error.name)}`);
    screen.quote(error.message);
    const { code, status, oauthError, retryable } = error;
    screen.row('code', code);
    screen.row('status, error', `${status}, ${oauthError}`);
    screen.row('retryable', String(retryable));
    const calls = 100;
    const [reasons, took] = await timed(() =>
      Promise.all(
        Array.from({ length: calls }, () => manager.getToken().catch((reason) => reason)),
      ),
    );
    const { acquisitions } = manager.snapshot().counters;
    const logins = server.endpoint ? server.endpoint.requestCount - before : acquisitions;
    screen.row('100 more calls', `the same error, all within ${screen.ms(took)}`);
    screen.row('ask again in', screen.seconds(reasons[0].retryAfterMs / 1000));
    screen.bar('calls', calls + 1, calls + 1);
    screen.bar('logins', logins, calls + 1);
    screen.claim(
      code === 'ERR_KEYCLOAK_OAUTH' && !retryable,
      'the error says what is wrong and that waiting will not help',
    );
    screen.claim(
      reasons.every((reason) => reason.code === code) && logins === 1 && acquisitions === 1,
      'one login for all callers',
    );
    screen.claim(!inspect(error).includes(wrong), 'the error does not contain the secret');
    return closed(manager);
  },
};

module.exports = { firstToken, manyCallers, refresh, outage, rotatedSecret, wrongSecret };
