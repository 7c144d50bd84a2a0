'use strict';

// A caller that uses managers, one after the other, and checks every result.

const { readFile } = require('node:fs/promises');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');
const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { SECRET_MARK } = require('./faults.js');

const REQUEST_TIMEOUT_MS = 2_000;
/** Allowed beyond a deadline and the time for which the event loop was blocked. */
const SLACK_MS = 1_000;
/** From the arrival of a token to the check of its expiry, on a busy machine. */
const LOOK_MS = 500;
/** Servers count in whole seconds. */
const ROUNDED_MS = 1_000;
/** From this life on, the manager keeps back at least as much as a server rounds off. */
const EXACT_LIFE_S = 4;
/** Acquisitions a second without a call: refreshes of the shortest lives, and cool-downs. */
const MOST_UNASKED = 1 / 0.45 + 1;

const EXPECTED = /^ERR_KEYCLOAK_(OAUTH|HTTP|PROTOCOL|NETWORK|TIMEOUT|CREDENTIAL)$/;

/** The weights of the calls. */
const CALLS = {
  plain: 600,
  object: 200,
  fetch: 60,
  minimum: 9,
  abort: 40,
  forced: 3,
  invalidate: 10,
  other: 10,
  clear: 2,
  look: 10,
  close: 3,
  drop: 1,
};

const CREDENTIALS = {
  file: (caller) => ({ clientSecretFile: caller.file }),
  basic: (caller) => ({
    clientSecretFile: caller.file,
    clientAuthentication: 'client_secret_basic',
  }),
  function: (caller) => ({ clientSecret: () => caller.secret() }),
  lazy: (caller) => ({ clientSecretFile: caller.file, backgroundRefresh: false }),
};

class Caller {
  #settings;
  #chance;
  #world;
  #number = 0;
  #last = '';
  /** The current manager and its state. */
  #life;
  #pending = new Set();

  /**
   * @param {{ name: string, kind: string, client: string, file: string, tokenEndpoint: string,
   *   api: string }} settings
   * @param {ReturnType<typeof import('./random.js').random>} chance
   * @param {object} world shared by the callers of a thread: counts, the time for which the event
   *   loop was blocked, and functions that report
   */
  constructor(settings, chance, world) {
    this.#settings = settings;
    this.#chance = chance;
    this.#world = world;
    this.#open();
  }

  get file() {
    return this.#settings.file;
  }

  /** The result of the secret function, which is not always valid. */
  async secret() {
    const mood = this.#chance.weighted({ well: 90, late: 7, fails: 2, never: 1 });
    if (mood === 'late') await delay(this.#chance.between(10, 500));
    if (mood === 'fails') throw new Error('no secret today');
    if (mood === 'never') await new Promise(() => {});
    return (await readFile(this.file, 'utf8')).trim();
  }

  #open() {
    this.#number += 1;
    const { tokenEndpoint, client, kind, api } = this.#settings;
    const name = `${this.#settings.name}-${this.#number}`;
    const log = (line) => this.#checkHidden(line, 'a log line');
    const manager = new KeycloakTokenManager({
      tokenEndpoint,
      clientId: client,
      name,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      parameters: { manager: name },
      resource: { baseUrl: `${api}/${client}/` },
      logger: { error: log, warn: log, info: log, debug: log },
      ...CREDENTIALS[kind](this),
    });
    this.#life = { manager, name, begun: performance.now(), causes: 1, isClosed: false };
    this.#count('managers');
  }

  #count(name) {
    const { counts } = this.#world;
    counts[name] = (counts[name] ?? 0) + 1;
  }

  /** Makes a call of some kind. */
  call() {
    const name = this.#chance.weighted(CALLS);
    this.#count('calls');
    const call = this[name](this.#life)
      .catch((error) => this.#world.report(`${name} of ${this.#life.name}: ${error.stack}`))
      .finally(() => this.#pending.delete(call));
    this.#pending.add(call);
  }

  /** Waits for all calls, and closes. */
  async end() {
    await Promise.all(this.#pending);
    await this.#retire(this.#life);
  }

  plain(life) {
    return this.#token(life, () => life.manager.getToken());
  }

  object(life) {
    return this.#token(life, () => life.manager.getAccessToken());
  }

  minimum(life) {
    life.causes += 1;
    const minValiditySeconds = this.#chance.between(0, 6);
    return this.#token(life, () => life.manager.getToken({ minValiditySeconds }));
  }

  forced(life) {
    life.causes += 1;
    return this.#token(life, () => life.manager.getToken({ forceRefresh: true }));
  }

  abort(life) {
    const leaving = new AbortController();
    if (this.#chance.next() < 0.25) leaving.abort();
    else setTimeout(() => leaving.abort(), this.#chance.between(0, 100));
    return this.#token(life, () => life.manager.getToken({ signal: leaving.signal }), leaving);
  }

  async fetch(life) {
    const ended = this.#watch(2 * REQUEST_TIMEOUT_MS);
    try {
      const response = await life.manager.fetch('things', { backstageUser: 'user:default/jane' });
      await response.arrayBuffer();
      this.#count(`fetched ${response.status}`);
    } catch (error) {
      this.#checkError(error, life);
    }
    // A 401 drops a token.
    life.causes += 1;
    ended();
  }

  async invalidate(life) {
    if (life.manager.invalidateToken(this.#last)) life.causes += 1;
  }

  async other(life) {
    if (life.manager.invalidateToken('another')) throw new Error('dropped for another token');
  }

  async clear(life) {
    life.causes += 1;
    life.manager.clearCache();
  }

  async look(life) {
    this.#checkHidden(JSON.stringify(life.manager.snapshot()) + inspect(life.manager), 'a look');
  }

  async close(life) {
    this.#open();
    await this.#retire(life);
  }

  async drop() {
    this.#open();
  }

  /** Ends a manager, and checks the number of its acquisitions. */
  async #retire(life) {
    life.isClosed = true;
    const { manager, name, begun, causes } = life;
    const { acquisitions, retries } = manager.snapshot().counters;
    const seconds = (performance.now() - begun) / 1000;
    if (acquisitions > causes + seconds * MOST_UNASKED + 1) {
      this.#world.report(`${name}: ${acquisitions} acquisitions, ${causes} causes, ${seconds} s`);
    }
    this.#world.retired({ name, acquisitions, retries });
    await manager.close();
  }

  /** Checks the token or the error of a call. */
  async #token(life, ask, leaving) {
    const ended = this.#watch(REQUEST_TIMEOUT_MS);
    const asked = Date.now();
    try {
      const result = await ask();
      this.#checkToken(result.token ?? result, life, asked);
      this.#count('tokens');
    } catch (error) {
      if (leaving?.signal.aborted && error === leaving.signal.reason) this.#count('left');
      else this.#checkError(error, life);
    }
    ended();
  }

  /** Limits the time of a call, apart from the time for which the event loop was blocked. */
  #watch(limitMs) {
    const { blockedMs } = this.#world;
    const begun = performance.now();
    return () => {
      const blocked = this.#world.blockedMs - blockedMs;
      const waited = performance.now() - begun - blocked;
      this.#world.waited(waited);
      if (waited <= limitMs + SLACK_MS) return;
      // A token that expired in a blocked event loop causes a second request.
      if (blocked === 0 || waited > 2 * limitMs + SLACK_MS) {
        throw new Error(`waited for ${waited} ms, blocked for ${blocked} ms`);
      }
      this.#count('waited for a second request');
    };
  }

  #checkToken(token, life, asked) {
    this.#last = token;
    const { iat, exp, azp, jti } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    if (azp !== this.#settings.client) throw new Error(`a token of ${azp}`);
    this.#world.seen(jti, life.name);
    // A token that had expired on arrival is for waiting callers alone.
    if (exp <= iat) {
      life.causes += 1;
      return;
    }
    const end = exp * 1_000 + (exp - iat < EXACT_LIFE_S ? ROUNDED_MS : 0);
    if (asked >= end) throw new Error(`over for ${asked - end} ms when it was asked for`);
    const now = Date.now();
    if (now >= end + ROUNDED_MS + LOOK_MS) throw new Error(`over for ${now - end} ms on arrival`);
  }

  #checkError(error, life) {
    if (!(error instanceof KeycloakTokenError)) throw error;
    const isExpected =
      EXPECTED.test(error.code) || (life.isClosed && error.code === 'ERR_KEYCLOAK_CLOSED');
    if (!isExpected) throw error;
    this.#count(error.code);
    // The value that a secret function threw is passed on unchanged.
    this.#checkHidden(inspect(error), 'an error');
  }

  #checkHidden(text, where) {
    if (text.includes(SECRET_MARK)) this.#world.report(`a secret in ${where}`);
    if (text.includes('eyJ')) this.#world.report(`a token in ${where}`);
  }
}

module.exports = { Caller, KINDS: Object.keys(CREDENTIALS) };
