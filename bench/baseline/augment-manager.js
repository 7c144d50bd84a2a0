'use strict';

/**
 * Behaves like the token manager of the augment plugin, a class that this package replaces. The
 * copy reproduces those faults of the class that the benchmarks compare.
 */

const { post } = require('../post.js');

const REQUEST_TIMEOUT_MS = 15_000;
const MINIMUM_CACHED_SECONDS = 10;
const LOGGED_BODY_CHARACTERS = 500;

class AugmentTokenManager {
  #options;
  #token;
  #reusableUntil = 0;
  #pending;
  #generation = 0;

  /**
   * @param {object} options
   * @param {string} options.tokenEndpoint
   * @param {string} options.clientId
   * @param {string | (() => string)} options.clientSecret
   * @param {{ error(message: string): void, debug(message: string): void }} options.logger
   * @param {number} [options.tokenExpiryBufferSeconds] default 60
   * @param {number} [options.timeoutMs] the time without data on the socket after which the request
   *   fails; default 15000, an option so that the fault table can shorten it
   * @param {import('node:http').Agent} [options.agent] default: Node's global agent, which keeps connections alive
   */
  constructor(options) {
    this.#options = {
      ...options,
      tokenExpiryBufferSeconds: options.tokenExpiryBufferSeconds ?? 60,
      timeoutMs: options.timeoutMs ?? REQUEST_TIMEOUT_MS,
    };
  }

  async getToken() {
    if (this.#token !== undefined && Date.now() < this.#reusableUntil) {
      return this.#token;
    }
    if (this.#pending === undefined) {
      this.#pending = this.#acquire(this.#generation).finally(() => {
        // This line also clears a later generation's request, as the original class does.
        this.#pending = undefined;
      });
    }
    return this.#pending;
  }

  clearCache() {
    this.#token = undefined;
    this.#reusableUntil = 0;
    this.#generation += 1;
    this.#pending = undefined;
  }

  async #acquire(generation) {
    const { clientId, clientSecret, logger, tokenExpiryBufferSeconds: buffer } = this.#options;
    const { tokenEndpoint, timeoutMs, agent } = this.#options;
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: typeof clientSecret === 'function' ? clientSecret() : clientSecret,
    });
    const { status, body } = await post(tokenEndpoint, form.toString(), { agent, timeoutMs });
    if (status >= 400) {
      logger.error(
        `Keycloak token request failed with status ${status}: ` +
          body.slice(0, LOGGED_BODY_CHARACTERS),
      );
      throw new Error(
        `Keycloak token request failed with status ${status}. Check the client's credentials ` +
          'and that its client credentials grant is enabled.',
      );
    }
    const answer = parse(body);
    if (!answer.access_token) {
      throw new Error('Keycloak token response has no access_token');
    }
    const grantedSeconds =
      typeof answer.expires_in === 'number' ? answer.expires_in : buffer + MINIMUM_CACHED_SECONDS;
    const cachedSeconds = Math.max(grantedSeconds - buffer, MINIMUM_CACHED_SECONDS);
    if (generation === this.#generation) {
      this.#token = answer.access_token;
      this.#reusableUntil = Date.now() + cachedSeconds * 1000;
      logger.debug(`Keycloak token cached for ${cachedSeconds} s`);
    }
    return answer.access_token;
  }
}

function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    throw new Error('Failed to parse Keycloak token response');
  }
}

module.exports = { AugmentTokenManager };
