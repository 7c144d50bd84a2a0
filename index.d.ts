/// <reference types="node" />

/**
 * How the client proves itself to the token endpoint.
 *
 * - `client_secret_post`: `client_id` and `client_secret` in the form (RFC 6749 §2.3.1).
 * - `client_secret_basic`: an `Authorization: Basic` header, both parts form-encoded first.
 * - `client_secret_jwt`: an assertion signed with the secret (OpenID Connect Core 1.0 §9); Keycloak's
 *   "Signed JWT with Client Secret".
 * - `private_key_jwt`: an assertion signed with a private key (RFC 7523); Keycloak's "Signed JWT".
 * - `tls_client_auth`: a certificate, shown when TLS begins (RFC 8705 §2.1); Keycloak's "X509
 *   Certificate". Needs https.
 * - `client_assertion_file`: an assertion that somebody else signs and keeps fresh in a file, such as
 *   a projected Kubernetes service account token or a SPIFFE JWT-SVID.
 */
export type ClientAuthentication =
  | 'client_secret_post'
  | 'client_secret_basic'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'client_assertion_file';

/** How an assertion is signed (RFC 7518 §3, RFC 8037 §3.1). */
export type SigningAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA' | 'HS256' | 'HS384' | 'HS512';

/** A private key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2). */
export interface PrivateJsonWebKey {
  /** `RSA` of 2048 to 4096 bits, `EC` on P-256, or `OKP` with Ed25519. */
  kty: 'RSA' | 'EC' | 'OKP';
  /** The `kid` of assertions, unless `keyId` says otherwise. */
  kid?: string;
  /** The members of the kind, and others, which do not matter. */
  [member: string]: unknown;
}

/** Where log lines go. Backstage's `LoggerService` fits as it is. A logger that throws is ignored. */
export interface KeycloakTokenManagerLogger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/** To whom {@link KeycloakTokenManager.fetch} sends the token, and how. */
export interface ResourceOptions {
  /**
   * Absolute `http` or `https` URL, without userinfo, query and fragment. Its origin is the only one
   * that gets the token. Relative inputs resolve against it as a folder: below
   * `https://api.example/v1`, `agents` is `/v1/agents` and `/agents` is `/agents`.
   */
  baseUrl: string;
  /**
   * The header that carries {@link AuthenticatedRequestInit.backstageUser}. Default:
   * `X-Backstage-User`. May not be `Authorization` or a header that frames the request.
   */
  userHeader?: string;
  /**
   * Sends the requests in place of the global `fetch`, which is looked up at each call: undici's with
   * a dispatcher, or a test's double. It is given a string, or the caller's own `Request`, and must
   * hand over redirects (`redirect: 'manual'`) with their status and `Location`, as Node's does.
   */
  fetch?: (input: string | Request, init?: RequestInit) => Promise<Response>;
}

/** What {@link KeycloakTokenManager.fetch} takes besides what `fetch` does. */
export interface AuthenticatedRequestInit extends RequestInit {
  /**
   * The user for whom the call is made, an entity ref such as `user:default/jane`: non-empty,
   * printable ASCII, no space at its ends. Sent with this call alone, in place of a header of that
   * name.
   */
  backstageUser?: string;
  /** How long the token must still be valid, in seconds, for streams; as in {@link GetTokenOptions}. */
  minValiditySeconds?: number;
}

/**
 * Options of {@link KeycloakTokenManager}. `undefined` counts as absent; an unknown option is refused.
 * Required are `clientId`, exactly one of `tokenEndpoint` and `issuer`, and exactly one credential:
 * `clientSecret`, `clientSecretFile`, `privateKey`, `privateKeyFile`, a client certificate with its
 * key, or `clientAssertionFile`.
 */
export interface KeycloakTokenManagerOptions {
  /**
   * Absolute `http` or `https` URL of the token endpoint, without userinfo and fragment. Keycloak's
   * is `{base}/realms/{realm}/protocol/openid-connect/token`. Plain http to anything but loopback
   * warns once.
   */
  tokenEndpoint?: string;
  /**
   * Absolute URL of the realm, Keycloak's `{base}/realms/{realm}`, without userinfo, query and
   * fragment. The token endpoint is taken from its discovery document (OpenID Connect Discovery 1.0),
   * which is read with the first token, inside `requestTimeoutMs`, kept for 24 h, and read again if
   * the endpoint answers 404 or 405. Its `issuer` must be this one; an https issuer may not name an
   * http endpoint.
   */
  issuer?: string;
  /** The client's id. Non-empty. */
  clientId: string;
  /**
   * The client's secret, non-empty, or a function that gives it or a promise of it.
   *
   * A function is asked once per acquisition and once more after the server refused the client, so a
   * rotated secret is picked up. It runs on the thread that made the manager. One that throws, gives
   * anything but a non-empty string or does not settle within `requestTimeoutMs` fails the
   * acquisition with `ERR_KEYCLOAK_CREDENTIAL`.
   */
  clientSecret?: string | (() => string | Promise<string>);
  /**
   * Path of a file that holds the secret; one trailing newline is dropped. Read at every
   * acquisition, and again after the server refused the client: for 0.6 s if it took this secret
   * before, so that file and server may be changed half a second apart.
   */
  clientSecretFile?: string;
  /** Default: `client_secret_post` with a secret, else what goes with the credential. */
  clientAuthentication?: ClientAuthentication;
  /**
   * The key for `private_key_jwt`: PEM (PKCS #8, PKCS #1, SEC 1), or a JSON Web Key as JSON or as an
   * object. RSA of 2048 to 4096 bits, EC on P-256 or Ed25519; an encrypted one is refused.
   */
  privateKey?: string | PrivateJsonWebKey;
  /**
   * Path of a file with such a key. Read at every acquisition, and again after the server refused the
   * client, as `clientSecretFile` is.
   */
  privateKeyFile?: string;
  /** `kid` of assertions. Without it, that of the JSON Web Key, if it has one. */
  keyId?: string;
  /**
   * Default: `RS256` for an RSA key, `ES256` for EC, `EdDSA` for Ed25519, `HS256` for
   * `client_secret_jwt`.
   */
  signingAlgorithm?: SigningAlgorithm;
  /**
   * `aud` of assertions. Without it, the issuer as its document names it; with `tokenEndpoint`,
   * that URL without `/protocol/openid-connect/token`. Set it where Keycloak has another hostname in public.
   */
  assertionAudience?: string;
  /** The certificate for `tls_client_auth` in PEM, and those that lead to its authority. */
  clientCertificate?: string;
  /** Path of a file with it. Read at every acquisition; connections in use are not dropped. */
  clientCertificateFile?: string;
  /** The key of `clientCertificate` in PEM. An encrypted one is refused. */
  clientKey?: string;
  /** Path of a file with it, read as `clientCertificateFile`. */
  clientKeyFile?: string;
  /** Path of a file with an assertion, read for every attempt. */
  clientAssertionFile?: string;
  /**
   * `client_assertion_type` of that assertion. Without it,
   * `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`; for a SPIFFE JWT-SVID
   * `urn:ietf:params:oauth:client-assertion-type:jwt-spiffe`.
   */
  clientAssertionType?: string;
  /** Scopes to ask for, a space-separated string or an array of single scopes (RFC 6749 §3.3). Default: none. */
  scope?: string | readonly string[];
  /**
   * Extra form fields of the token request. May not name a field that the manager sets:
   * `grant_type`, `client_id`, `client_secret`, `scope`, `client_assertion`, `client_assertion_type`.
   */
  parameters?: Readonly<Record<string, string>>;
  /**
   * How long before its end a token is replaced, in seconds. Integer ≥ 0, default 60. Never more
   * than half of the token's lifetime is used.
   */
  tokenExpiryBufferSeconds?: number;
  /**
   * Hard end of one acquisition, in milliseconds: secret function, DNS, connect, TLS, headers, body
   * and every retry together. Integer ≥ 1, default 15000.
   */
  requestTimeoutMs?: number;
  /** Replace a token that is in use before it goes stale, with nobody waiting. Default true. */
  backgroundRefresh?: boolean;
  /** Certificates (PEM, one or more) trusted besides those that Node trusts. */
  ca?: string;
  /** Path of a PEM file of such certificates, read at every acquisition. */
  caFile?: string;
  /** Do not verify the server's certificate. Default false; true warns once. */
  skipTlsVerify?: boolean;
  /**
   * Absolute http, https, socks5 or socks5h URL of a proxy, perhaps with a user name and password,
   * which are never shown; `false` for none. With socks5 the name of the server is resolved here,
   * with socks5h by the proxy. An https proxy cannot be used together with a client certificate.
   * Default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment when the manager is made,
   * lower case first. A variable that cannot be used fails the acquisition
   * (`ERR_KEYCLOAK_NETWORK`): requests never silently go direct.
   */
  proxy?: string | false;
  /** To whom {@link KeycloakTokenManager.fetch} may send the token. Default: to nobody. */
  resource?: ResourceOptions;
  /** Default: no logging. */
  logger?: KeycloakTokenManagerLogger;
  /** Label in log lines and snapshots. Default: `clientId`. */
  name?: string;
}

/** Options of {@link KeycloakTokenManager.getToken}. */
export interface GetTokenOptions {
  /**
   * How long the token must still be valid, in seconds, a number ≥ 0. A token that misses it is
   * replaced once; if the server grants no longer one, the best there is comes back, with one warning.
   */
  minValiditySeconds?: number;
  /** Frees this caller alone; the request goes on for the others. */
  signal?: AbortSignal;
  /** Ask the server even if a valid token is held. The held token stays if that fails. */
  forceRefresh?: boolean;
}

/** What {@link KeycloakTokenManager.getAccessToken} gives. */
export interface AccessToken {
  /** The bearer token. */
  token: string;
  /** Always `Bearer`. */
  tokenType: 'Bearer';
  /** The scope that the server named; the requested one if it named none; else `undefined`. */
  scope: string | undefined;
  /** When the request that succeeded was sent, in ms since the epoch. */
  issuedAt: number;
  /** When we stop handing the token out, in ms since the epoch: the end of its life less min(1 s, a quarter of it). */
  expiresAt: number;
}

/** What {@link KeycloakTokenManager.snapshot} gives. It holds no secret and no token. */
export interface KeycloakTokenManagerSnapshot {
  /** The `name` option. */
  name: string;
  /**
   * - `empty`: no token, also while the first one is fetched.
   * - `fresh`: a token that needs no replacement yet.
   * - `stale`: a token that is valid but due for replacement.
   * - `failing`: no valid token, and the last acquisition failed.
   * - `closed`: {@link KeycloakTokenManager.close} was called.
   */
  state: 'empty' | 'fresh' | 'stale' | 'failing' | 'closed';
  /** Seconds since the held token's request was sent. Absent without a token, as are the next two. */
  tokenAgeSeconds?: number;
  /** Seconds until the held token is stale; negative when it is. */
  secondsToSoftExpiry?: number;
  /** Seconds until the held token is handed out no more. */
  secondsToHardExpiry?: number;
  /** When the last acquisition succeeded, in ms since the epoch. */
  lastSuccessAt?: number;
  /** The last failed acquisition: its error code, and when, in ms since the epoch. */
  lastFailure?: { code: KeycloakTokenErrorCode; at: number };
  counters: {
    /** Calls answered from the held token. Exact. */
    hits: number;
    /** Calls that waited for a request begun by another call. */
    joins: number;
    /** Acquisitions started. */
    acquisitions: number;
    /** Token requests beyond the first of an acquisition; a replaced dead connection does not count. */
    retries: number;
    /** Those of `hits` that were answered with a stale token. */
    staleServed: number;
    /** Tokens dropped by `invalidateToken` and `clearCache`. */
    invalidations: number;
    /** `invalidateToken` of the held token that kept it: in a cool-down, or too soon after the last. */
    invalidationsKept: number;
    /** `invalidateToken` of a token that is not the held one. */
    invalidationsIgnored: number;
    /** Acquisitions that a cool-down prevented. */
    suppressed: number;
  };
  /** How long finished acquisitions took, in ms. */
  acquisitionLatencyMs: { count: number; sum: number; max: number; last: number };
}

/** The codes of {@link KeycloakTokenError}. */
export type KeycloakTokenErrorCode =
  /** Options are wrong. Not retryable. */
  | 'ERR_KEYCLOAK_CONFIG'
  /** An argument of a call is wrong. Not retryable. */
  | 'ERR_KEYCLOAK_REQUEST'
  /** The secret function failed, or a secret, key, certificate or assertion file cannot be read or parsed. Not retryable. */
  | 'ERR_KEYCLOAK_CREDENTIAL'
  /** The server refused with an OAuth error; see `oauthError`. Not retryable. */
  | 'ERR_KEYCLOAK_OAUTH'
  /** An HTTP error that is not an OAuth answer. Retryable for 408, 429 and 5xx. */
  | 'ERR_KEYCLOAK_HTTP'
  /** An answer that is not a usable token response. Not retryable. */
  | 'ERR_KEYCLOAK_PROTOCOL'
  /** DNS, refused, reset, cut short. Retryable. */
  | 'ERR_KEYCLOAK_NETWORK'
  /** Certificate or handshake. Not retryable. */
  | 'ERR_KEYCLOAK_TLS'
  /** `requestTimeoutMs` passed. Retryable. */
  | 'ERR_KEYCLOAK_TIMEOUT'
  /** The manager was closed. Not retryable. */
  | 'ERR_KEYCLOAK_CLOSED'
  /** A bug in this package. Not retryable. */
  | 'ERR_KEYCLOAK_INTERNAL';

/** The one error class that this package throws or rejects with. It never shows a secret or a token. */
export class KeycloakTokenError extends Error {
  private constructor();
  readonly name: 'KeycloakTokenError';
  readonly code: KeycloakTokenErrorCode;
  /** Whether the same call may succeed later with nothing changed on this side. */
  readonly retryable: boolean;
  /** HTTP status of the answer. */
  readonly status?: number;
  /** `error` of the answer's JSON body (RFC 6749 §5.2). */
  readonly oauthError?: string;
  /** `error_description` of the answer's JSON body. */
  readonly oauthErrorDescription?: string;
  /** How long to wait before it makes sense to ask again, counted from now. */
  readonly retryAfterMs?: number;
  /** Token requests sent in the acquisition that failed. */
  readonly attempts?: number;
  readonly tokenEndpoint?: string;
  readonly clientId?: string;
}

/**
 * Gives service-account tokens (OAuth 2.0 client credentials, RFC 6749 §4.4) that are valid now,
 * with one request however many callers, and refreshes them in the background.
 *
 * A manager belongs to the thread that made it. Two managers never share a token.
 */
export class KeycloakTokenManager implements AsyncDisposable {
  /** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`, naming every option that is wrong. */
  constructor(options: KeycloakTokenManagerOptions);
  /**
   * A bearer token valid now. While one is held this costs as much as awaiting a resolved promise.
   *
   * Rejects with a {@link KeycloakTokenError}, or with the reason of `signal`. After a failed
   * acquisition the same error comes back at once until a cool-down (1 s, doubling to 30 s after
   * `OAUTH`, `CREDENTIAL` and `TLS`, to 5 s after anything else) is over; `retryAfterMs` says how long.
   */
  getToken(options?: GetTokenOptions): Promise<string>;
  /** As {@link getToken}, with what is known about the token. */
  getAccessToken(options?: GetTokenOptions): Promise<AccessToken>;
  /** As `getToken({ minValiditySeconds: minLifetimeMs / 1000 })`. */
  getTokenForStreaming(minLifetimeMs: number): Promise<string>;
  /**
   * Drops the held token if it is the one rejected by a resource server, and says whether it did.
   * It does not while a cool-down lasts, nor too soon after the last drop (1 s, doubling to 60 s
   * while replacements are rejected as well). Without an argument: as {@link clearCache}.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if `rejected` is not a string.
   */
  invalidateToken(rejected?: string): boolean;
  /** Drops the held token whatever it is. A request under way still answers those who wait for it, and is not stored. */
  clearCache(): void;
  /**
   * The platform's `fetch` with a token, for the origin of `resource.baseUrl` alone. Works detached.
   * An `Authorization` header of the caller is replaced.
   *
   * - After a 401 the token is dropped as by {@link invalidateToken}, and the request is sent once
   *   more with a new one, whatever its method. If the token may not be dropped now, or the new one is
   *   refused as well, the 401 comes back. So it does where the body cannot be sent again, a stream
   *   or that of a `Request`. The body must not change before the response is there.
   * - Redirects within the origin are followed with token and user, at most 20; `redirected` of the
   *   response is false nevertheless, and its `url` the last one. `integrity` is held against the
   *   first answer, so it fails a call that is redirected or sent again.
   *
   * Rejects with `ERR_KEYCLOAK_REQUEST` for another origin, also in a redirect, before anything is
   * sent there; with `ERR_KEYCLOAK_CONFIG` without `resource`; with what {@link getToken} rejects
   * with, and then nothing is sent; with the reason of `signal`; or as the platform's `fetch` does.
   * {@link close} does not cut a call that was sent.
   */
  readonly fetch: (
    input: string | URL | Request,
    init?: AuthenticatedRequestInit,
  ) => Promise<Response>;
  /** The state, for health checks and metrics. */
  snapshot(): KeycloakTokenManagerSnapshot;
  /** Stops background work, rejects waiters with `ERR_KEYCLOAK_CLOSED`, wipes secrets. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
