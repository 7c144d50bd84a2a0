'use strict';

/**
 * The part of the augment plugin that uses a token manager, rebuilt for these tests: the same calls
 * in the same order, the same waits, and the same parts of an error message that decide on a retry.
 * It follows commit 431ae71a of redhat-developer/rhdh-plugins.
 */

const { once } = require('node:events');
const http = require('node:http');
const { setTimeout: delay } = require('node:timers/promises');

const NETWORK_FAULT = /ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|EAI_AGAIN/i;
const BUSY = new Set([429, 502, 503, 504]);
const MOST_RETRIES = 3;
const FIRST_WAIT_MS = 1_000;
const STREAM_TIMEOUT_MS = 300_000;
const EVENT = 'data: ';

class KagentiClient {
  #agent = new http.Agent({ keepAlive: true });
  #baseUrl;
  #tokens;
  user;

  constructor(baseUrl, tokens) {
    this.#baseUrl = baseUrl.replace(/\/+$/, '');
    this.#tokens = tokens;
  }

  health = () => this.request('GET', '/health', undefined, false);
  featureFlags = () => this.request('GET', '/api/v1/config/features');

  /** Sends a request, and repeats it after a 401 and after faults that its rules recognise. */
  async request(method, path, body, withToken = true) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#attempt(method, path, body, withToken);
      } catch ({ message }) {
        const status = Number(/status (\d+)/.exec(message)?.[1] ?? 0);
        if (status === 401 && attempt === 0) {
          this.#tokens.clearCache();
          continue;
        }
        const mayRetry = BUSY.has(status) || (status === 0 && NETWORK_FAULT.test(message));
        if (!mayRetry || attempt === MOST_RETRIES) throw new Error(message);
        await delay(FIRST_WAIT_MS * 2 ** attempt);
      }
    }
  }

  async #attempt(method, path, body, withToken) {
    const token = withToken ? await this.#tokens.getToken() : undefined;
    const response = await this.#send(method, path, body, token, 'application/json');
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if (response.statusCode >= 300) {
      throw new Error(`Kagenti API error: ${method} ${path} status ${response.statusCode}`);
    }
    return text === '' ? {} : JSON.parse(text);
  }

  /** Sends a POST, and calls `onEvent` for each event of the response until the stream ends. */
  async stream(path, body, onEvent) {
    const token = await this.#tokens.getTokenForStreaming(STREAM_TIMEOUT_MS);
    const response = await this.#send('POST', path, body, token, 'text/event-stream');
    if (response.statusCode >= 300) {
      throw new Error(`Kagenti stream request failed: status ${response.statusCode}`);
    }
    let rest = '';
    for await (const chunk of response.setEncoding('utf8')) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const text = line.trim();
        if (text.startsWith(EVENT) && text !== `${EVENT}[DONE]`) onEvent(text.slice(EVENT.length));
      }
    }
  }

  async #send(method, path, body, token, accept) {
    const headers = { accept };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (this.user !== undefined) headers['x-backstage-user'] = this.user;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const request = http.request(`${this.#baseUrl}${path}`, {
      method,
      headers,
      agent: this.#agent,
    });
    request.end(body && JSON.stringify(body));
    const [response] = await once(request, 'response');
    return response;
  }

  destroy() {
    this.#agent.destroy();
  }
}

/** The provider: its start, its base URL, which an administrator may change, and its end. */
class KagentiProvider {
  flags = { sandbox: false, integrations: false, triggers: false };
  /** The messages of start-up failures, which the plugin logs and otherwise ignores. */
  failures = [];
  #settings;
  #tokens;
  #baseUrl;

  /** @param settings `baseUrl`, read again before each chat */
  constructor(settings, tokens) {
    this.#settings = settings;
    this.#tokens = tokens;
  }

  async initialize() {
    this.#connect();
    const ignoring = (promise) => promise.catch((error) => void this.failures.push(error.message));
    await ignoring(this.#tokens.getToken());
    await ignoring(this.client.health());
    const flags = await ignoring(this.client.featureFlags());
    if (flags !== undefined) this.flags = flags;
  }

  async chat(user, message, onEvent) {
    if (this.#settings.baseUrl !== this.#baseUrl) this.#connect();
    this.client.user = user;
    await this.client.stream('/api/v1/chat/team/weather/stream', { message }, onEvent);
  }

  shutdown() {
    this.#tokens.clearCache();
    this.client.destroy();
  }

  #connect() {
    this.client?.destroy();
    this.#baseUrl = this.#settings.baseUrl;
    this.client = new KagentiClient(this.#baseUrl, this.#tokens);
  }
}

module.exports = { KagentiProvider };
