'use strict';

const MARGIN_SECONDS = 60;

/** What users of a library without a cache write around it: the token, and the one request. */
class TokenCache {
  #acquire;
  #token;
  #freshUntil = 0;
  #pending;

  /** @param {() => Promise<{ token: string, expiresIn: number }>} acquire */
  constructor(acquire) {
    this.#acquire = acquire;
  }

  async getToken() {
    if (Date.now() < this.#freshUntil) return this.#token;
    this.#pending ??= this.#refresh().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  clearCache() {
    this.#token = undefined;
    this.#freshUntil = 0;
  }

  async #refresh() {
    const { token, expiresIn } = await this.#acquire();
    this.#token = token;
    this.#freshUntil = Date.now() + (expiresIn - MARGIN_SECONDS) * 1000;
    return token;
  }
}

module.exports = { MARGIN_SECONDS, TokenCache };
