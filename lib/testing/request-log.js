'use strict';

// The requests that a test can inspect and wait for. The log contains no credential.

const { readProof } = require('./dpop.js');
const { now } = require('./tokens.js');

const CREDENTIALS = new Set(['client_secret', 'client_assertion', 'subject_token', 'assertion']);

/**
 * Returns the fields of a form that are not credentials, with the first value of a repeated field.
 */
function publicParameters(form) {
  const names = [...new Set(form.keys())].filter((name) => !CREDENTIALS.has(name));
  return Object.fromEntries(names.map((name) => [name, form.get(name)]));
}

class RequestLog {
  entries = [];
  #waiting = new Set();
  #isClosed = false;

  add({ form, clientId, authentication }, { authorization: _, ...headers }, connection) {
    const entry = {
      at: now(),
      clientId,
      authentication,
      grantType: form.get('grant_type') ?? undefined,
      scope: form.get('scope') ?? undefined,
      parameters: publicParameters(form),
      headers,
      dpop: readProof(headers.dpop),
      connection,
      status: undefined,
    };
    this.entries.push(entry);
    for (const waiter of this.#waiting) {
      if (this.entries.length >= waiter.count) {
        this.#waiting.delete(waiter);
        waiter.resolve(this.entries.slice(0, waiter.count));
      }
    }
    return entry;
  }

  clear() {
    this.entries = [];
  }

  waitFor(count) {
    if (this.entries.length >= count) return Promise.resolve(this.entries.slice(0, count));
    if (this.#isClosed) return Promise.reject(this.#tooFew(count));
    return new Promise((resolve, reject) => this.#waiting.add({ count, resolve, reject }));
  }

  close() {
    this.#isClosed = true;
    for (const { count, reject } of this.#waiting) reject(this.#tooFew(count));
    this.#waiting.clear();
  }

  #tooFew(count) {
    const seen = this.entries.length;
    return new Error(`the endpoint was closed after ${seen} of ${count} expected token requests`);
  }
}

module.exports = { RequestLog };
