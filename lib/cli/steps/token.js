'use strict';

// Sends the token request with a manager's own transport, and checks the token in the answer.

const { adviceFor } = require('../advice.js');
const { decode, duration, importantClaims, isTime, list } = require('../claims.js');
const { failed, ok, warning } = require('../finding.js');
const { send } = require('../request.js');
const { secureContext } = require('../trust.js');
const { clockFinding } = require('./discovery.js');
const { managerOptions } = require('./options.js');

const SHORT_LIFE_S = 30;
/** Node limits a request's headers to 16 KiB, and many proxies limit them to 8 KiB. */
const LARGE_TOKEN = 7_500;

const request = {
  name: 'token request',
  needs: ['options', 'proxy', 'TLS', 'discovery', 'credential'],
  async run(context, signal) {
    const { manager, redactor } = context;
    context.askedAt = Date.now();
    try {
      keep(context, await manager.getToken({ signal }));
      const { clientId } = context.options;
      return ok(`the server granted a token to client ${redactor.show(clientId)}`);
    } catch (error) {
      const advice = adviceFor(error);
      if (error.code !== 'ERR_KEYCLOAK_TLS') return failed(error.message, advice);
      return failed(error.message, await adviceWithTokenFetch(context, signal, advice));
    }
  },
};

function keep(context, token) {
  context.token = token;
  context.receivedAt = Date.now();
  // The token is a secret for every later step.
  context.redactor.add(token);
}

/**
 * Sends the request once more through Node's TLS, which also verifies the server. This shows
 * whether the option `tokenFetch` helps.
 */
async function adviceWithTokenFetch(context, signal, advice) {
  const { options, env, KeycloakTokenManager } = context;
  const hasCertificate = (options.clientCertificate ?? options.clientCertificateFile) !== undefined;
  if (options.tokenFetch !== undefined || hasCertificate) return advice;
  const { proxy: proxyOption, ca: _, caFile, skipTlsVerify, ...others } = managerOptions(options);
  const tokenFetch = async (url, init) => {
    const { status, headers, text } = await send(new URL(url), {
      method: init.method,
      headers: Object.fromEntries(new Headers(init.headers)),
      body: init.body,
      ...{ proxyOption, env, signal },
      secureContext: secureContext(context),
    });
    return new Response(text, { status, headers: new Headers(entriesOf(headers)) });
  };
  const manager = new KeycloakTokenManager({ ...others, tokenFetch });
  try {
    await manager.getToken({ signal });
  } catch (error) {
    return `${advice} (with tokenFetch: ${error.message})`;
  } finally {
    manager.close();
  }
  const trust =
    options.ca === undefined && caFile === undefined
      ? ''
      : ' and put the certificates of ca and caFile into the file that NODE_EXTRA_CA_CERTS names';
  return `set tokenFetch: true${trust}, because the same request succeeds through Node's TLS`;
}

const entriesOf = (headers) =>
  Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));

const clock = {
  name: 'clock',
  needs: ['token request'],
  async run({ token, isClockKnown, askedAt, receivedAt }) {
    const { iat } = decode(token)?.claims ?? {};
    if (isClockKnown || !isTime(iat)) return undefined;
    return clockFinding(iat + 0.5 - (askedAt + receivedAt) / 2_000, "the token's iat");
  },
};

const claims = {
  name: 'token',
  needs: ['token request'],
  run: async ({ token, options, redactor, issuer, showToken }) =>
    explainToken(token, { redactor, options, issuer, showToken }),
};

/** Returns the finding for a token. `options` and `issuer` determine the expected claims. */
function explainToken(token, { redactor, options = {}, issuer, showToken = false }) {
  const whole = showToken ? { token } : {};
  const jwt = decode(token);
  if (jwt === undefined) {
    return warning(
      `a token of ${token.length} characters, which is not a JWT`,
      'no action is needed if the API accepts opaque tokens',
      whole,
    );
  }
  const now = Date.now() / 1_000;
  const details = Object.fromEntries(
    Object.entries(importantClaims(jwt, now)).map(([name, value]) => [name, redactor.show(value)]),
  );
  const text = `a JWT of ${token.length} characters`;
  const [trouble, advice] = troubleOf(jwt.claims, { token, now, options, issuer, redactor }) ?? [];
  const shown = { ...details, ...whole };
  return trouble === undefined ? ok(text, shown) : warning(`${text}; ${trouble}`, advice, shown);
}

function troubleOf(jwt, { token, now, options, issuer, redactor }) {
  const { iss, aud, azp, sub, exp, iat, scope } = jwt;
  if (isTime(exp) && exp < now) {
    return [
      `it expired ${duration(now - exp)} ago`,
      'get a new token; if that token has expired too, check the clocks and "Access Token Lifespan"',
    ];
  }
  if (issuer !== undefined && iss !== undefined && iss !== issuer) {
    return [
      `its issuer is ${redactor.show(iss)}, not ${redactor.show(issuer)}`,
      "set Keycloak's option hostname, so that tokens have the same issuer at all addresses",
    ];
  }
  const granted = typeof scope === 'string' ? scope.split(' ') : [];
  const absent = list(options.scope)
    .flatMap((text) => text.split(' '))
    .filter((name) => name !== '' && name !== 'openid' && !granted.includes(name));
  if (scope !== undefined && absent.length > 0) {
    return [
      `it lacks the scope ${absent.join(', ')}`,
      'in Keycloak, add the scope to the client\'s "Client scopes", and turn on "Include in token ' +
        'scope" for it',
    ];
  }
  if (sub === undefined && aud === undefined && azp !== undefined) {
    return [
      'it has neither sub nor aud',
      'if the API checks these claims, turn off "Always use lightweight access token" for the ' +
        'client in Keycloak',
    ];
  }
  if (isTime(exp) && isTime(iat) && exp - iat < SHORT_LIFE_S) {
    return [
      `it is valid for only ${duration(exp - iat)}`,
      'raise "Access Token Lifespan" for the client or the realm',
    ];
  }
  if (token.length > LARGE_TOKEN) {
    return [
      'it may be too large for a header (status 431)',
      "from the client's scopes, remove the roles and audiences that the API does not need",
    ];
  }
  return undefined;
}

module.exports = { steps: [request, clock, claims], explainToken };
