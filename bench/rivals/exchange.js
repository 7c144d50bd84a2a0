'use strict';

// User tokens by token exchange with openid-client, and the cache that developers write around it:
// a bounded map that drops the least recently used entry and whose callers share a request.

const { installRivals } = require('./index.js');
const { loadOpenid } = require('./openid.js');

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
const MOST = 10_000;
/** The rival replaces a token this number of seconds before its expiry. */
const MARGIN_SECONDS = 1;

/** Returns a function that returns a user's token for an audience. */
async function makeExchange(tokenEndpoint) {
  await installRivals();
  const { client, configure } = await loadOpenid();
  const config = configure(tokenEndpoint);
  const cached = new Map();

  function exchange(key, subjectToken, audience) {
    const entry = { freshUntil: Infinity };
    const request = client.genericGrantRequest(config, TOKEN_EXCHANGE, {
      subject_token: subjectToken,
      subject_token_type: ACCESS_TOKEN_TYPE,
      requested_token_type: ACCESS_TOKEN_TYPE,
      audience,
    });
    entry.token = request.then(
      (answer) => {
        entry.freshUntil = Date.now() + (answer.expires_in - MARGIN_SECONDS) * 1000;
        return answer.access_token;
      },
      (error) => {
        cached.delete(key);
        throw error;
      },
    );
    return entry;
  }

  return (subjectToken, audience) => {
    const key = `${audience} ${subjectToken}`;
    let entry = cached.get(key);
    if (!(entry?.freshUntil > Date.now())) entry = exchange(key, subjectToken, audience);
    cached.delete(key);
    cached.set(key, entry);
    if (cached.size > MOST) cached.delete(cached.keys().next().value);
    return entry.token;
  };
}

module.exports = { makeExchange };
