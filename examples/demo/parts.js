'use strict';

// The parts of the demo, which the end of this file puts in order. Each part shows and checks one
// feature. Each part except `doctor` makes its own manager, and returns that manager's snapshot.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('../..');
const screen = require('./screen.js');
const { legend, traffic } = require('./traffic.js');

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
    const [{ token, expiresAt }, took] = await timed(() => manager.getAccessToken());
    // Verifies the signature with the keys that the issuer publishes.
    const { createRemoteJWKSet, decodeJwt, jwtVerify } = await import('jose');
    const claims = decodeJwt(token);
    const keys = createRemoteJWKSet(new URL(`${claims.iss}/protocol/openid-connect/certs`));
    const isGenuine = await jwtVerify(token, keys).catch(() => false);
    const life = claims.exp - claims.iat;
    const handedOutUntil = new Date(expiresAt).toLocaleTimeString('en-GB');
    const { secondsToSoftExpiry, secondsToHardExpiry } = manager.snapshot();
    screen.row('token', `${screen.count(token.length)} characters, in ${screen.ms(took)}`);
    screen.row('issuer', claims.iss);
    screen.row('client', claims.azp);
    screen.row('roles', claims.realm_access?.roles.join(', ') ?? 'none');
    screen.row('life', `${screen.seconds(life)}; handed out until ${handedOutUntil}`);
    const latest = screen.seconds(secondsToSoftExpiry);
    screen.row('replaced', `in the background, in ${latest} or a little earlier, if it is in use`);
    const calls = 100_000;
    let again;
    const [, all] = await timed(async () => {
      for (let call = 0; call < calls; call += 1) again = await manager.getToken();
    });
    const each = `${screen.count((all / calls) * 1e6)} ns each, from memory`;
    screen.row('the next calls', `${screen.count(calls)} one after the other, ${each}`);
    screen.claim(isGenuine, "the issuer's key verifies the signature");
    screen.claim(again === token, 'the next calls return the same token');
    const isCautious = secondsToHardExpiry > 0 && secondsToHardExpiry < life;
    screen.claim(isCautious, 'the manager stops handing it out before it expires');
    return closed(manager);
  },
};

const manyCallers = {
  title: '1,000 simultaneous callers, no token yet',
  async run(server) {
    const callers = 1000;
    const manager = makeManager(server);
    const before = server.endpoint.requestCount;
    const [tokens, took] = await timed(() =>
      Promise.all(Array.from({ length: callers }, () => manager.getToken())),
    );
    const requests = server.endpoint.requestCount - before;
    screen.row('requests', `${requests} for ${screen.count(callers)} callers`);
    screen.row('answered', `all in ${screen.ms(took)}`);
    screen.claim(requests === 1, 'the manager sent one request');
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
    screen.say(`Tokens live for 3 s. The endpoint takes ${DELAY_MS} ms. Calls come every 4 ms.`);
    legend();
    const isOver = (elapsed, { tokens }) => tokens > 2 || elapsed > 6000;
    const { tokens, failures, worst } = await traffic(manager, isOver);
    screen.row('requests', `${endpoint.requestCount - before} for ${tokens - 1} new tokens`);
    screen.claim(tokens > 2, 'the manager replaced the token at least twice');
    const isQuick = failures === 0 && worst < DELAY_MS / 2;
    screen.claim(isQuick, `no caller waited for a request (${DELAY_MS} ms)`);
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
    const log = (level) => (message) => lines.push({ level, message });
    const logger = { error: log('error'), warn: log('warn'), info: log('info'), debug() {} };
    const manager = makeManager(server, { logger });
    await manager.getToken();
    screen.say('Tokens live for 7 s. Keycloak stops, and restarts after the first failed refresh.');
    let isDown = true;
    await endpoint.goOffline();
    const has = (wanted) => lines.some(({ level }) => level === wanted);
    const { tokens, failures } = await traffic(manager, (elapsed, seen) => {
      if (isDown && has('warn')) {
        isDown = false;
        endpoint.goOnline();
      }
      return (seen.tokens > 1 && has('info')) || elapsed > 9000;
    });
    for (const { level, message } of lines) screen.row(`log ${level}`, message);
    const snapshot = await closed(manager);
    screen.claim(has('warn'), 'a refresh failed, and the manager logged a warning');
    const isServed = failures === 0 && snapshot.counters.staleServed > 0;
    screen.claim(isServed, 'every call got a token, even while the token was due for replacement');
    screen.claim(tokens > 1 && has('info'), 'the manager recovered without a restart');
    endpoint.setExpiresIn(300);
    return snapshot;
  },
};

const rotatedSecret = {
  title: 'The secret is rotated',
  async run(server) {
    const { endpoint, clientSecret: old } = server;
    const rotated = 'another one, from a vault';
    screen.say('The secret is a function that reads a vault. The vault is one read behind.');
    let reads = 0;
    const clientSecret = () => {
      reads += 1;
      return reads <= 2 ? old : rotated;
    };
    endpoint.setDelay(DELAY_MS / 2);
    const manager = makeManager(server, { clientSecret });
    const first = await manager.getToken();
    endpoint.setSecret(server.clientId, rotated);
    const before = endpoint.requestCount;
    const replacement = manager.getToken({ forceRefresh: true }).catch(({ message }) => {
      screen.say(message);
      return first;
    });
    const { failures } = await traffic(
      manager,
      (elapsed, { tokens }) => (tokens > 1 && elapsed > 800) || elapsed > 3000,
    );
    const statuses = endpoint.requests.slice(before).map(({ status }) => status);
    screen.row('vault returned', 'the old secret, the old secret again, then the new secret');
    screen.row('requests', statuses.join(', then '));
    const isRead = reads === 3 && statuses.join() === '401,200';
    screen.claim(isRead, 'after the refusal the manager read the secret again');
    const isReplaced = failures === 0 && (await replacement) !== first;
    screen.claim(isReplaced, 'the manager got a new token, and no call failed');
    endpoint.setSecret(server.clientId, old);
    endpoint.setDelay(0);
    return closed(manager);
  },
};

const wrongSecret = {
  title: 'A wrong secret',
  async run(server) {
    const clientSecret = 'not-the-secret';
    const manager = makeManager(server, { clientSecret });
    const fail = () => manager.getToken().catch((reason) => reason);
    const before = server.endpoint?.requestCount;
    const error = await fail();
    const { code, status, oauthError, retryable } = error;
    screen.say(error.message);
    screen.row('code', code);
    screen.row('status, error', `${status}, ${oauthError}`);
    screen.row('retryable', String(retryable));
    const calls = 100;
    const [reasons, took] = await timed(() => Promise.all(Array.from({ length: calls }, fail)));
    const { acquisitions } = manager.snapshot().counters;
    const logins = server.endpoint ? server.endpoint.requestCount - before : acquisitions;
    screen.row('100 more calls', `the same error, all within ${screen.ms(took)}`);
    screen.row('retry after', screen.seconds(reasons[0].retryAfterMs / 1000));
    screen.row('logins', `${logins} for ${calls + 1} calls`);
    screen.claim(
      code === 'ERR_KEYCLOAK_OAUTH' && !retryable,
      'the error says what is wrong and that waiting will not help',
    );
    screen.claim(
      reasons.every((reason) => reason.code === code) && logins === 1 && acquisitions === 1,
      'the manager sent one token request for all callers',
    );
    screen.claim(!inspect(error).includes(clientSecret), 'the error does not contain the secret');
    return closed(manager);
  },
};

/** Runs the command line in its own process. Returns the exit status and the output. */
async function runProgram(args, env) {
  const program = path.join(__dirname, '..', '..', 'lib', 'cli', 'index.js');
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { status, output };
}

const doctor = {
  title: 'What an operator sees: a space was copied along with the secret',
  async run({ tokenEndpoint, clientId, clientSecret }) {
    const args = ['doctor', '--token-endpoint', tokenEndpoint, '--client-id', clientId];
    screen.say(`KEYCLOAK_CLIENT_SECRET='…' npx keycloak-token-manager ${args.join(' ')}`);
    const wrong = { KEYCLOAK_CLIENT_SECRET: `${clientSecret} ` };
    const { status, output } = await runProgram(args, wrong);
    for (const line of output.trimEnd().split('\n')) console.log(`   ${line}`);
    const fixed = await runProgram(args, { KEYCLOAK_CLIENT_SECRET: clientSecret });
    screen.row('exit status', `${status}, and ${fixed.status} without the space`);
    const [first] = output.match(/^[!✗].*/gm) ?? [];
    const isCause = /credential.+whitespace at its end/.test(first);
    screen.claim(isCause, 'the first trouble that the doctor reports is the cause');
    screen.claim(status === 1 && fixed.status === 0, 'the exit status says whether it found one');
    screen.claim(!output.includes(clientSecret), 'the output does not contain the secret');
    return { counters: {} };
  },
};

module.exports = { firstToken, manyCallers, refresh, outage, rotatedSecret, wrongSecret, doctor };
