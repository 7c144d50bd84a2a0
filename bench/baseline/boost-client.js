'use strict';

/**
 * Behaves like the token client of the boost plugin, a class that this package replaces, including
 * its faults. Only tests and benchmarks use it, for comparison.
 */

const ASSUMED_LIFE_SECONDS = 300;

/**
 * The earlier copy: Basic credentials as they are; an invalidation leaves a request in progress.
 */
class BoostAuthClient {
  #options;
  #token;
  #reusableUntil = 0;
  _pending;

  /**
   * @param {object} options
   * @param {string} options.tokenEndpoint
   * @param {string} options.clientId
   * @param {string} options.clientSecret
   * @param {number} [options.tokenExpiryBufferSeconds] default 60
   */
  constructor(options) {
    this.#options = {
      ...options,
      tokenExpiryBufferSeconds: options.tokenExpiryBufferSeconds ?? 60,
    };
  }

  async getToken() {
    if (this.#token !== undefined && Date.now() < this.#reusableUntil) {
      return this.#token;
    }
    this._pending ??= this.#acquire().finally(() => {
      this._pending = undefined;
    });
    return this._pending;
  }

  invalidateToken() {
    this.#token = undefined;
    this.#reusableUntil = 0;
  }

  _credentials({ clientId, clientSecret }) {
    const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64');
    return { headers: { Authorization: `Basic ${basic}` }, fields: {} };
  }

  async #acquire() {
    const { tokenEndpoint, tokenExpiryBufferSeconds: buffer } = this.#options;
    const { headers, fields } = this._credentials(this.#options);
    const response = await fetch(tokenEndpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...fields }).toString(),
    });
    if (!response.ok) {
      throw new Error(`Keycloak token request failed with status ${response.status}`);
    }
    const answer = await response.json();
    if (!answer.access_token) {
      throw new Error('Keycloak token response has no access_token');
    }
    const grantedSeconds = Number(answer.expires_in ?? ASSUMED_LIFE_SECONDS);
    this.#token = answer.access_token;
    this.#reusableUntil = Date.now() + Math.max(grantedSeconds - buffer, 0) * 1000;
    return answer.access_token;
  }
}

/** The later copy: the secret in the form; an invalidation forgets a request in progress. */
class SharedBoostAuthClient extends BoostAuthClient {
  invalidateToken() {
    super.invalidateToken();
    this._pending = undefined;
  }

  _credentials({ clientId, clientSecret }) {
    return { headers: {}, fields: { client_id: clientId, client_secret: clientSecret } };
  }
}

module.exports = { BoostAuthClient, SharedBoostAuthClient };
