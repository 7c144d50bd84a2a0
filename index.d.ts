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
  kid?: string | undefined;
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
   * Absolute `http` or `https` URL of the API, without userinfo, query and fragment. Only its
   * origin receives the token. Relative inputs resolve against it as a folder: below
   * `https://api.example/v1`, `agents` is `/v1/agents` and `/agents` is `/agents`.
   */
  baseUrl: string;
  /**
   * Header that names the user on whose behalf a call is made. Default: `X-Backstage-User`. The
   * user is {@link AuthenticatedRequestInit.backstageUser}. `Authorization` and headers that frame
   * a request are refused.
   */
  userHeader?: string | undefined;
  /**
   * Sends the requests instead of the global `fetch`: undici's with a dispatcher, or a test's
   * double. Default: the global `fetch`, looked up at each call. It receives a string, or the
   * caller's own `Request`, and must return redirects (`redirect: 'manual'`) with their status and
   * `Location`, as Node's does.
   */
  fetch?: ((input: string | Request, init?: RequestInit) => Promise<Response>) | undefined;
}

/** What {@link KeycloakTokenManager.fetch} takes besides what `fetch` does. */
export interface AuthenticatedRequestInit extends RequestInit {
  /**
   * The user for whom the call is made, an entity ref such as `user:default/jane`: non-empty,
   * printable ASCII, no space at its ends. Sent with this call alone, in place of a header of that
   * name.
   */
  backstageUser?: string | undefined;
  /** How long the token must still be valid, in seconds, for streams; as in {@link GetTokenOptions}. */
  minValiditySeconds?: number | undefined;
}

/**
 * Options of {@link KeycloakTokenManager}. `undefined` counts as absent; an unknown option is refused.
 * Required are `clientId`, exactly one of `tokenEndpoint` and `issuer`, and exactly one credential:
 * `clientSecret`, `clientSecretFile`, `privateKey`, `privateKeyFile`, a client certificate with its
 * key, or `clientAssertionFile`.
 */
export interface KeycloakTokenManagerOptions {
  /**
   * URL of the token endpoint, in Keycloak `{base}/realms/{realm}/protocol/openid-connect/token`.
   * Exactly one of `tokenEndpoint` and `issuer` is required. An absolute `http` or `https` URL
   * without userinfo and fragment. Plain http to any host but loopback logs one warning.
   */
  tokenEndpoint?: string | undefined;
  /**
   * URL of the realm, in Keycloak `{base}/realms/{realm}`. The token endpoint is taken from its
   * discovery document. An absolute `http` or `https` URL without userinfo, query and fragment. The
   * document (OpenID Connect Discovery 1.0) is fetched with the first token, within
   * `requestTimeoutMs`, kept for 24 h, and fetched again if the endpoint answers 404 or 405. Its
   * `issuer` must be this URL; an https issuer may not name an http endpoint.
   */
  issuer?: string | undefined;
  /** Id of the client, a non-empty string. */
  clientId: string;
  /**
   * Secret of the client. Exactly one credential is required: a secret, a private key, a
   * certificate with its key, or an assertion, each given or in a file. A function may return the
   * secret or a promise of it. It is called once per acquisition and once more after the server
   * refused the client, so that a rotated secret is picked up. It runs on the thread that created
   * the manager, so a blocked event loop delays a refresh. If it throws, returns anything but a
   * non-empty string or does not settle within `requestTimeoutMs`, the acquisition fails with
   * `ERR_KEYCLOAK_CREDENTIAL`.
   */
  clientSecret?: string | (() => string | Promise<string>) | undefined;
  /**
   * Path of a file that holds the secret, read at every acquisition. One trailing newline is
   * dropped. The file is also read after the server refused the client: for up to 0.6 s if the
   * server accepted this secret before, so that the file and the server may be changed half a
   * second apart.
   */
  clientSecretFile?: string | undefined;
  /**
   * How the client authenticates to the token endpoint. Default: `client_secret_post`, or what the
   * credential implies.
   */
  clientAuthentication?: ClientAuthentication | undefined;
  /**
   * Private key for `private_key_jwt`, in PEM or as a JSON Web Key. PEM may be PKCS #8, PKCS #1 or
   * SEC 1; a JSON Web Key may be JSON or an object. The key is RSA of 2048 to 4096 bits, EC on
   * P-256 or Ed25519; an encrypted one is refused.
   */
  privateKey?: string | PrivateJsonWebKey | undefined;
  /**
   * Path of a file that holds the private key, read at every acquisition. The file is also read
   * after the server refused the client, as with `clientSecretFile`.
   */
  privateKeyFile?: string | undefined;
  /** Header `kid` of signed assertions. Default: the `kid` of the JSON Web Key, if any. */
  keyId?: string | undefined;
  /**
   * Algorithm of signed assertions. Default: `RS256`, `ES256` or `EdDSA` by the kind of key;
   * `HS256` with a secret.
   */
  signingAlgorithm?: SigningAlgorithm | undefined;
  /**
   * Claim `aud` of signed assertions. Default: the issuer. Without `issuer` the default is
   * `tokenEndpoint` without `/protocol/openid-connect/token`. Set this option where Keycloak has a
   * different public hostname.
   */
  assertionAudience?: string | undefined;
  /** Client certificate for `tls_client_auth` in PEM, followed by intermediate certificates. */
  clientCertificate?: string | undefined;
  /**
   * Path of a file that holds the client certificate, read at every acquisition. A changed
   * certificate does not close connections in use.
   */
  clientCertificateFile?: string | undefined;
  /** Private key of the client certificate in PEM, not encrypted. */
  clientKey?: string | undefined;
  /**
   * Path of a file that holds the private key of the client certificate, read at every acquisition.
   */
  clientKeyFile?: string | undefined;
  /**
   * Path of a file that holds a signed assertion, such as a projected Kubernetes token or a SPIFFE
   * JWT-SVID, read for every attempt. Another program signs the assertion and keeps it fresh.
   */
  clientAssertionFile?: string | undefined;
  /**
   * Form field `client_assertion_type` for the assertion of `clientAssertionFile`. Default:
   * `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`. A SPIFFE JWT-SVID needs
   * `urn:ietf:params:oauth:client-assertion-type:jwt-spiffe`.
   */
  clientAssertionType?: string | undefined;
  /**
   * Scopes to request (RFC 6749 §3.3), separated by spaces or as an array of single scopes.
   * Default: none.
   */
  scope?: string | readonly string[] | undefined;
  /**
   * Additional form fields of the token request. A Backstage configuration does not treat them as
   * secrets. Default: none. They may not name a field that the manager sets: `grant_type`,
   * `client_id`, `client_secret`, `scope`, `client_assertion`, `client_assertion_type`.
   */
  parameters?: Readonly<Record<string, string>> | undefined;
  /**
   * How long before its end a token is replaced; at most half of its lifetime counts. In seconds,
   * an integer of at least 0. Default: 60.
   */
  tokenExpiryBufferSeconds?: number | undefined;
  /**
   * Time limit of one acquisition, including all its retries. In milliseconds, an integer of at
   * least 1. Default: 15000. The limit covers the secret function, DNS, connecting, TLS, and the
   * headers and body of the answer.
   */
  requestTimeoutMs?: number | undefined;
  /**
   * Whether a token that is in use is replaced in the background before it becomes stale. Default:
   * true.
   */
  backgroundRefresh?: boolean | undefined;
  /** Certificates in PEM to trust in addition to those that Node trusts. Default: none. */
  ca?: string | undefined;
  /**
   * Path of a PEM file with certificates to trust in addition, read at every acquisition. Default:
   * none.
   */
  caFile?: string | undefined;
  /**
   * Whether the server's certificate is accepted without verification; `true` logs one warning.
   * Default: false.
   */
  skipTlsVerify?: boolean | undefined;
  /**
   * URL of an http or https proxy, or `false` for none. A user name and password in it are never
   * shown. Default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The environment variables are read
   * when the manager is created; lower-case names take precedence.
   */
  proxy?: string | false | undefined;
  /** The API to which `fetch` may send the token. Default: none. */
  resource?: ResourceOptions | undefined;
  /** Receives log lines. Backstage's `LoggerService` fits as it is. Default: none. */
  logger?: KeycloakTokenManagerLogger | undefined;
  /** Label in log lines and snapshots. Default: `clientId`. */
  name?: string | undefined;
}

/** Options of {@link KeycloakTokenManager.getToken}. */
export interface GetTokenOptions {
  /**
   * How long the token must still be valid, in seconds, a number ≥ 0. A token that misses it is
   * replaced once; if the server grants no longer one, the best there is comes back, with one warning.
   */
  minValiditySeconds?: number | undefined;
  /** Frees this caller alone; the request goes on for the others. */
  signal?: AbortSignal | undefined;
  /** Ask the server even if a valid token is held. The held token stays if that fails. */
  forceRefresh?: boolean | undefined;
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
