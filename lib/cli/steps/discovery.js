'use strict';

// Checks the realm's discovery document (OpenID Connect Discovery 1.0) and the server's clock. With
// the option `tokenEndpoint`, the manager does not need the document, so most faults in it are
// warnings.

const { textsIn } = require('../claims.js');
const { failed, faultOf, ok, warning } = require('../finding.js');
const { get } = require('../request.js');
const { secureContext } = require('../trust.js');

const OF_KEYCLOAK = /\/protocol\/openid-connect\/token$/;
const GRANT = 'client_credentials';
/**
 * Many APIs accept a token only if their clock differs from the server's clock by less than this
 * time.
 */
const CLOCK_LIMIT_S = 5;

const discovery = {
  name: 'discovery',
  needs: ['proxy', 'TLS'],
  async run(context, signal) {
    const issuer = issuerOf(context.options);
    if (issuer === undefined) return undefined;
    const { options, env, redactor } = context;
    const url = new URL(`${issuer}/.well-known/openid-configuration`);
    let answer;
    try {
      const { headers, proxy: proxyOption } = options;
      answer = await get(url, {
        ...{ headers, proxyOption, env, signal },
        secureContext: secureContext(context),
      });
    } catch (error) {
      return trouble(context, `${url.href}: ${faultOf(error, redactor)}`, 'check the server');
    }
    context.discovery = answer;
    return readAnswer(context, answer, issuer, url);
  },
};

function issuerOf({ issuer, tokenEndpoint }) {
  if (issuer !== undefined) return issuer.replace(/\/+$/, '');
  const { origin, pathname, search } = new URL(tokenEndpoint);
  if (!OF_KEYCLOAK.test(pathname) || search !== '') return undefined;
  return `${origin}${pathname.replace(OF_KEYCLOAK, '')}`;
}

/** Returns a failure if the manager needs the document, and a warning otherwise. */
const trouble = ({ options }, text, advice) =>
  (options.issuer === undefined ? warning : failed)(text, advice);

function readAnswer(context, { status, text, headers }, issuer, url) {
  const { redactor } = context;
  const document = parsed(text);
  if (status === 404 && document?.error === 'Realm does not exist') {
    return failed(
      `${url.href}: the realm does not exist (status 404)`,
      'correct the realm in the URL, or wait until a deployment has imported the realm',
    );
  }
  if (status >= 300 && status < 400) {
    const to = redactor.show(headers.location ?? 'an unknown URL');
    return trouble(
      context,
      `${url.href} redirects to ${to}`,
      'if the redirect leads to Keycloak, use the URL to which it leads',
    );
  }
  if (status !== 200) {
    return trouble(context, `${url.href}: status ${status}`, adviceFor(status));
  }
  if (document === undefined) {
    const advice = 'check that the URL is the URL of a realm, {base}/realms/{realm}';
    return trouble(context, `${url.href}: the response is not a JSON object`, advice);
  }
  return compare(context, document, issuer);
}

function adviceFor(status) {
  if (status >= 500) return 'check the logs of Keycloak and of the gateways in front of it';
  return (
    'check the URL; the URL of a Keycloak realm is {base}/realms/{realm}, or, before version 17, ' +
    '{base}/auth/realms/{realm}'
  );
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Compares the document with the options. */
function compare(context, document, issuer) {
  const { options, redactor, target } = context;
  const { issuer: named, token_endpoint: endpoint } = document;
  if (named !== issuer && named !== options.issuer) {
    return trouble(
      context,
      named === undefined
        ? 'the discovery document has no "issuer" member'
        : `the discovery document belongs to the issuer ${redactor.show(named)}, not to ${issuer}`,
      options.issuer === undefined
        ? 'tokens contain the first URL as iss; use it where an API or an assertion needs the issuer'
        : 'set issuer to the first URL, or set tokenEndpoint instead of issuer',
    );
  }
  context.issuer = named;
  const isUrl = typeof endpoint === 'string' && URL.canParse(endpoint);
  if (options.issuer !== undefined && !isUrl) {
    return failed(
      'the discovery document has no token_endpoint that is a URL',
      'set tokenEndpoint instead of issuer',
    );
  }
  if (isUrl && target.protocol === 'https:' && new URL(endpoint).protocol === 'http:') {
    return trouble(
      context,
      'the issuer uses https, but the token_endpoint in its discovery document, ' +
        `${redactor.show(endpoint)}, uses http`,
      "correct Keycloak's hostname settings",
    );
  }
  if (options.tokenEndpoint !== undefined && isUrl && endpoint !== options.tokenEndpoint) {
    return warning(
      `the discovery document names another token endpoint, ${redactor.show(endpoint)}`,
      'use that URL, unless the configured one is another address of the same server',
    );
  }
  return compareSupport(document, options, redactor);
}

function compareSupport(document, options, redactor) {
  const {
    grant_types_supported: grants,
    token_endpoint_auth_methods_supported: methods,
    issuer,
  } = document;
  if (Array.isArray(grants) && !grants.includes(GRANT)) {
    return warning(
      `the server offers the grants ${redactor.show(textsIn(grants).join(', '))}, but not ${GRANT}`,
      'use a server that supports the client credentials grant',
    );
  }
  const method = methodOf(options);
  if (Array.isArray(methods) && method !== undefined && !methods.includes(method)) {
    return warning(
      'the server accepts the authentication methods ' +
        `${redactor.show(textsIn(methods).join(', '))}, but not ${method}`,
      'set clientAuthentication to one of these methods',
    );
  }
  return ok(
    `issuer ${redactor.show(issuer)}, which offers ${[GRANT, method].filter(Boolean).join(' and ')}`,
  );
}

/** Returns the authentication method that the server must offer. */
function methodOf(options) {
  const { clientAuthentication, clientSecret, clientSecretFile, signingAlgorithm } = options;
  // An assertion from a file is a signed JWT too, so the server lists `private_key_jwt`.
  if (clientAuthentication === 'client_assertion_file') return 'private_key_jwt';
  if (clientAuthentication !== undefined) return clientAuthentication;
  if ((clientSecret ?? clientSecretFile) !== undefined) {
    return /^HS/.test(signingAlgorithm ?? '') ? 'client_secret_jwt' : 'client_secret_post';
  }
  const hasCertificate = (options.clientCertificate ?? options.clientCertificateFile) !== undefined;
  return hasCertificate ? 'tls_client_auth' : 'private_key_jwt';
}

const clock = {
  name: 'clock',
  needs: ['discovery'],
  async run(context) {
    const { headers, sentAt, receivedAt } = context.discovery ?? {};
    const date = Date.parse(headers?.date ?? '');
    if (Number.isNaN(date)) return undefined;
    context.isClockKnown = true;
    // The header has whole seconds, so the actual time is up to one second later.
    return clockFinding((date + 500 - (sentAt + receivedAt) / 2) / 1_000, 'the header Date');
  },
};

/**
 * Returns the finding for a clock difference in seconds, which is positive if the server is ahead.
 */
function clockFinding(difference, source) {
  const seconds = Math.round(Math.abs(difference));
  if (seconds <= CLOCK_LIMIT_S) return ok(`the clocks differ by at most ${CLOCK_LIMIT_S} s`);
  const direction = difference > 0 ? 'behind' : 'ahead of';
  return warning(
    `this machine's clock is ${seconds} s ${direction} the server's, according to ${source}`,
    'synchronise both clocks; otherwise, APIs may reject tokens, and Keycloak may reject assertions',
  );
}

module.exports = { steps: [discovery, clock], clockFinding, methodOf };
