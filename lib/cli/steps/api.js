'use strict';

// Sends a GET request with the token to an API. The URL uses https or loopback, and the step
// follows no redirect, so that no other server receives the token.

const { asksForToken, parametersOf } = require('../../challenge.js');
const { decode, textsIn } = require('../claims.js');
const { failed, faultOf, ok, warning } = require('../finding.js');
const { get } = require('../request.js');
const { secureContext } = require('../trust.js');

const api = {
  name: 'API',
  needs: ['token request'],
  applies: (context) => context.api !== undefined,
  async run(context, signal) {
    const { api: url, env, redactor, token, options } = context;
    const headers = { ...(await authorization(context)), Accept: '*/*' };
    let answer;
    try {
      answer = await get(url, { headers, env, signal, secureContext: secureContext(context) });
    } catch (error) {
      return failed(`${url.origin}: ${faultOf(error, redactor)}`, 'check the URL and the network');
    }
    return explain(answer, url, { redactor, token, options });
  },
};

/** Returns the headers that carry the token, with a DPoP proof if the token is bound. */
async function authorization({ api: url, manager, options, token }) {
  if (options.dpop !== true) return { Authorization: `Bearer ${token}` };
  const proof = await manager.dpopProof({ method: 'GET', url: url.href, token });
  return { Authorization: `DPoP ${token}`, DPoP: proof };
}

function explain({ status, headers }, url, context) {
  const { redactor } = context;
  const challenge = headers['www-authenticate'];
  const shown = challenge === undefined ? '' : `, WWW-Authenticate: ${redactor.show(challenge)}`;
  const text = `${url.origin} answered with status ${status}${shown}`;
  if (status >= 200 && status < 300) return ok(text);
  if (status >= 300 && status < 400) {
    const to = redactor.show(headers.location ?? 'an unknown URL');
    return failed(
      `${text}, a redirect to ${to}`,
      'use the final URL; a redirect to a login page means that a gateway rejects the token',
    );
  }
  if (status === 401) return failed(text, unauthorized(challenge ?? '', context));
  if (status === 403) {
    return failed(
      text,
      'add the missing role under the client\'s "Service accounts roles", or add the missing scope',
    );
  }
  if (status === 431 || status === 413) {
    return failed(text, 'the token is too large; remove roles and audiences from it');
  }
  if (status >= 500) return failed(text, "check the API's log");
  return warning(text, "the API did not reject the token; check the URL's path");
}

/**
 * The advice for words in the parameters `error` and `error_description`. The first match counts.
 */
const REASONS = [
  ['insufficient_scope', 'request the scope that the API names'],
  [
    'expired|not active|used before|iat|nbf|exp',
    'compare the clocks of the API, of Keycloak and of this machine',
  ],
  ['aud|audiences?', withoutAudience],
  ['iss|issuer', "compare the token's iss with the issuer that the API expects"],
].map(([words, advice]) => [new RegExp(`(?<![a-z])(${words})(?![a-z])`, 'i'), advice]);

function unauthorized(challenge, context) {
  const texts = ['error', 'error_description'].flatMap((name) => parametersOf(challenge, name));
  const text = texts.join(' ');
  if (!/invalid_token/i.test(text) && !asksForToken(challenge)) {
    return 'the API does not accept bearer tokens here; check its documentation';
  }
  const advice =
    REASONS.find(([words]) => words.test(text))?.[1] ??
    "compare the token's iss, aud and time claims with the API's settings and clock";
  return typeof advice === 'function' ? advice(context) : advice;
}

function withoutAudience({ redactor, token, options }) {
  const jwt = decode(token);
  const audiences = textsIn(jwt?.claims.aud).map((one) => redactor.show(one));
  const found = audiences.length === 0 ? 'no aud' : `aud ${audiences.join(', ')}`;
  const client = redactor.show(options.clientId);
  return (
    `${jwt === undefined ? '' : `the token has ${found}; `}ask the API's owner which audience the API expects, and add an ` +
    `audience mapper for it in Keycloak under Clients > ${client} > Client scopes > ${client}-dedicated`
  );
}

module.exports = { steps: [api] };
