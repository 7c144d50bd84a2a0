'use strict';

/**
 * Two classes that behave like the API clients that `manager.fetch` replaces, including their
 * faults. Only tests use them, for comparison.
 */

const { setTimeout: delay } = require('node:timers/promises');

const MOST_RETRIES = 3;
const FIRST_RETRY_MS = 1000;
const PAUSE_AFTER_401_MS = 100;
const RETRIED = new Set([502, 503, 504]);

/** The client of the augment plugin: all users share it, and `setRequestContext` sets the user. */
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
        // The message does not say whether the API or the token endpoint sent the status.
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

/** The client of the boost plugin. */
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
