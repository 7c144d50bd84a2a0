'use strict';

/**
 * Behave as the two API clients that `manager.fetch` replaces, faults too. They are here to be
 * compared with, in tests; nothing else may use them.
 */

const { setTimeout: delay } = require('node:timers/promises');

const MOST_RETRIES = 3;
const FIRST_RETRY_MS = 1000;
const PAUSE_AFTER_401_MS = 100;
const RETRIED = new Set([502, 503, 504]);

/** The augment plugin's: one client for all users, told by `setRequestContext` who asks. */
class AugmentApiClient {
  #options;
  #user;

  /**
   * @param {object} options
   * @param {string} options.baseUrl
   * @param {{ getToken(): Promise<string>, clearCache(): void }} options.tokenManager
   * @param {number} [options.retryMs] wait before the first retry, default 1000; an option so that
   *   a test can scale it
   */
  constructor(options) {
    this.#options = { retryMs: FIRST_RETRY_MS, ...options };
  }

  setRequestContext({ user }) {
    this.#user = user;
  }

  /** @returns {Promise<string>} the body */
  async request(method, path, body) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#requestOnce(method, path, body);
      } catch (error) {
        // Whose status it is, that of the API or of the token endpoint, the message does not say.
        const status = Number(/status (\d{3})/.exec(error.message)?.[1]);
        if (status === 401 && attempt === 0) {
          this.#options.tokenManager.clearCache();
          continue;
        }
        const isRetried = RETRIED.has(status) || error.cause?.code === 'ECONNRESET';
        if (!isRetried || attempt === MOST_RETRIES) throw error;
        await delay(this.#options.retryMs * 2 ** attempt);
      }
    }
  }

  async #requestOnce(method, path, body) {
    const { baseUrl, tokenManager } = this.#options;
    const token = await tokenManager.getToken();
    const headers = { Authorization: `Bearer ${token}` };
    if (this.#user !== undefined) headers['X-Backstage-User'] = this.#user;
    const response = await fetch(new URL(path, baseUrl), { method, body, headers });
    const text = await response.text();
    if (!response.ok) throw new Error(`API request failed with status ${response.status}`);
    return text;
  }
}

/** The boost plugin's. */
class BoostApiClient {
  #options;

  /**
   * @param {object} options
   * @param {string} options.baseUrl
   * @param {{ getToken(): Promise<string>, invalidateToken(): void }} options.authClient
   */
  constructor(options) {
    this.#options = options;
  }

  async request(path) {
    const { authClient } = this.#options;
    const response = await this.#requestOnce(path);
    if (response.status !== 401) return response;
    authClient.invalidateToken();
    await delay(PAUSE_AFTER_401_MS);
    return this.#requestOnce(path);
  }

  async #requestOnce(path) {
    const { authClient, baseUrl } = this.#options;
    const token = await authClient.getToken();
    return fetch(new URL(path, baseUrl), { headers: { Authorization: `Bearer ${token}` } });
  }
}

module.exports = { AugmentApiClient, BoostApiClient };
