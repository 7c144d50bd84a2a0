'use strict';

// A token cache in a store, as developers write it around a library that has no cache: Keyv with a
// server's adapter, and openid-client.

const { createRequire } = require('node:module');
const path = require('node:path');
const { loadOpenid } = require('./openid.js');

const KEY = 'token';
const MARGIN_SECONDS = 60;

/** Resolves with a manager for a token endpoint. `modules` contains Keyv and its adapter. */
async function openKeyvMap(tokenEndpoint, { modules, port }) {
  const { client, configure } = await loadOpenid();
  const load = createRequire(path.join(modules, 'index.js'));
  const { default: Keyv } = load('keyv');
  const { default: KeyvValkey } = load('@keyv/valkey');
  const keyv = new Keyv(new KeyvValkey(`redis://127.0.0.1:${port}`));
  keyv.on('error', () => {});
  const config = configure(tokenEndpoint);
  return {
    async getToken() {
      const held = await keyv.get(KEY);
      if (held !== undefined) return held;
      const answer = await client.clientCredentialsGrant(config);
      await keyv.set(KEY, answer.access_token, (answer.expires_in - MARGIN_SECONDS) * 1000);
      return answer.access_token;
    },
  };
}

module.exports = { openKeyvMap };
