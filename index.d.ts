/// <reference types="node" />

/**
 * How the client authenticates itself to the token endpoint.
 *
 * - `client_secret_post`: sends `client_id` and `client_secret` in the form (RFC 6749 §2.3.1).
 * - `client_secret_basic`: sends an `Authorization: Basic` header, with both parts form-encoded as
 *   RFC 6749 §2.3.1 requires.
 * - `client_secret_jwt`: signs an assertion with the secret (OpenID Connect Core 1.0 §9). Keycloak
 *   calls this "Signed JWT with Client Secret".
 * - `private_key_jwt`: signs an assertion with a private key (RFC 7523). Keycloak calls this
 *   "Signed JWT".
 * - `tls_client_auth`: presents a certificate in the TLS handshake (RFC 8705 §2.1). Keycloak calls
 *   this "X509 Certificate". The token endpoint must be https.
 * - `client_assertion_file`: sends an assertion that another program signs and keeps fresh in a
 *   file, such as a projected Kubernetes service account token or a SPIFFE JWT-SVID.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type ClientAuthentication } from 'keycloak-token-manager';
 *
 * const clientAuthentication: ClientAuthentication = 'client_secret_basic';
 * const manager = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecret: 'my-secret',
 *   clientAuthentication,
 * });
 * await manager.getToken();
 * ```
 */
export type ClientAuthentication =
  | 'client_secret_post'
  | 'client_secret_basic'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'client_assertion_file';

/**
 * The algorithm that signs an assertion (RFC 7518 §3, RFC 8037 §3.1). `HS256`, `HS384` and `HS512`
 * are for `client_secret_jwt`, the others for `private_key_jwt`.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type SigningAlgorithm } from 'keycloak-token-manager';
 *
 * const signingAlgorithm: SigningAlgorithm = 'HS512';
 * new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecret: 'my-secret',
 *   clientAuthentication: 'client_secret_jwt',
 *   signingAlgorithm,
 * });
 * ```
 */
export type SigningAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA' | 'HS256' | 'HS384' | 'HS512';

/**
 * A private key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2).
 *
 * @example
 * ```ts
 * import { generateKeyPairSync } from 'node:crypto';
 * import { KeycloakTokenManager, type PrivateJsonWebKey } from 'keycloak-token-manager';
 *
 * const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
 * const key: PrivateJsonWebKey = { ...privateKey.export({ format: 'jwk' }), kty: 'EC', kid: 'k1' };
 * new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   privateKey: key,
 * });
 * ```
 */
export interface PrivateJsonWebKey {
  /** `RSA` of 2048 to 4096 bits, `EC` on P-256, or `OKP` with Ed25519. */
  kty: 'RSA' | 'EC' | 'OKP';
  /** The `kid` header of assertions, unless the option `keyId` is set. */
  kid?: string | undefined;
  /** The members that RFC 7518 and RFC 8037 define for this key type. Other members are ignored. */
  [member: string]: unknown;
}

/**
 * Receives log lines. Backstage's `LoggerService` and `console` both fit. Errors that a logger
 * throws are ignored.
 *
 * The manager logs an acquired token with `debug`, the first failure in a row with `warn`, the
 * recovery with `info`, and each warning about the configuration once. No line holds a secret, a
 * token or an assertion. `error` is never called by a manager itself.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type KeycloakTokenManagerLogger } from 'keycloak-token-manager';
 *
 * const logger: KeycloakTokenManagerLogger = console;
 * const manager = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecret: 'my-secret',
 *   logger,
 * });
 * await manager.getToken();
 * ```
 */
export interface KeycloakTokenManagerLogger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/**
 * A function for {@link KeycloakTokenManagerOptions.tokenFetch} that sends token and discovery
 * requests: the global `fetch`, undici's `fetch` with a dispatcher, node-fetch, or a test double.
 *
 * The manager passes the URL as a string, and `method`, `headers`, `body`, `redirect: 'manual'`
 * and a `signal`, which it aborts when the deadline passes or the manager is closed. The function
 * must not follow redirects: a response with a true `redirected` or a different `url` fails
 * with `ERR_KEYCLOAK_PROTOCOL`. An error becomes `ERR_KEYCLOAK_TLS` if its `code`, or the `code` of
 * a `cause`, is about certificates or TLS, and the retryable `ERR_KEYCLOAK_NETWORK` otherwise.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type TokenFetch } from 'keycloak-token-manager';
 *
 * const logged: TokenFetch = (url, init) => {
 *   console.log(`${init.method} ${url}`);
 *   return fetch(url, init);
 * };
 * const manager = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecretFile: '/run/secrets/my-client',
 *   tokenFetch: logged,
 * });
 * console.log(await manager.getToken());
 * await manager.close();
 * ```
 */
export type TokenFetch = (url: string, init: TokenFetchInit) => Promise<TokenFetchResponse>;

/**
 * The second argument of a {@link TokenFetch}. It fits the `RequestInit` of `fetch`.
 *
 * @example
 * ```ts
 * import type { TokenFetchInit } from 'keycloak-token-manager';
 *
 * export const withTrace = (init: TokenFetchInit): TokenFetchInit => ({
 *   ...init,
 *   headers: { ...init.headers, 'x-request-id': crypto.randomUUID() },
 * });
 * ```
 */
export interface TokenFetchInit {
  /** `POST` for a token, `GET` for a discovery document. */
  method: string;
  /** The headers, with names in lower case. `authorization` and other values may be secrets. */
  headers: Record<string, string>;
  /** The form of a token request, which may contain a secret. */
  body?: string;
  /** Always `manual`. */
  redirect: 'manual';
  /** Aborted when the deadline passes or the manager is closed. */
  signal: AbortSignal;
}

/**
 * The part of a `Response` that a {@link TokenFetch} must return. The manager reads the body
 * from `body` if that is a web stream or a Node stream, and otherwise with `arrayBuffer` or `text`.
 *
 * @example
 * ```ts
 * import type { TokenFetchResponse } from 'keycloak-token-manager';
 *
 * export const testDouble: TokenFetchResponse = {
 *   status: 200,
 *   text: async () => '{"access_token":"token-1","token_type":"Bearer","expires_in":300}',
 * };
 * ```
 */
export interface TokenFetchResponse {
  /** HTTP status. */
  readonly status: number;
  /** The response headers. */
  readonly headers?: { get(name: string): string | null | undefined };
  /** Whether a redirect was followed. */
  readonly redirected?: boolean;
  /** The URL of the response; an empty string counts as unknown. */
  readonly url?: string;
  /** `opaqueredirect` marks a redirect whose status is hidden, as browsers return it. */
  readonly type?: string;
  /** A web stream or a Node stream. */
  readonly body?: unknown;
  /** Reads the body. */
  arrayBuffer?(): Promise<ArrayBuffer>;
  /** Reads the body. */
  text?(): Promise<string>;
}

/**
 * The API to which {@link KeycloakTokenManager.fetch} sends the token.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type ResourceOptions } from 'keycloak-token-manager';
 *
 * const resource: ResourceOptions = { baseUrl: 'https://api.example/v1', userHeader: 'X-User' };
 * const manager = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecret: 'my-secret',
 *   resource,
 * });
 * await manager.fetch('agents'); // https://api.example/v1/agents
 * ```
 */
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
   * Sends the requests instead of the global `fetch`: for example undici's with a dispatcher, or a
   * test double. Default: the global `fetch`, looked up at each call. It receives a string, or the
   * caller's own `Request`, and must return redirects (`redirect: 'manual'`) with their status and
   * `Location`, as Node's does.
   */
  fetch?: ((input: string | Request, init?: RequestInit) => Promise<Response>) | undefined;
}

/**
 * A manager for another API, from {@link KeycloakTokenManager.withResource}. It is the manager from
 * which it was derived, except for `fetch`: token, cache, flights and counters are the same, and it
 * ends when that manager is closed.
 *
 * @example
 * ```ts
 * import type { ResourceTokenManager } from 'keycloak-token-manager';
 *
 * const spaces: ResourceTokenManager = manager.withResource({ baseUrl: 'https://api.example/v2' });
 * const response = await spaces.fetch('workspaces');
 * console.log(response.status, await response.text());
 * ```
 */
export type ResourceTokenManager = Pick<
  KeycloakTokenManager,
  | 'getToken'
  | 'getAccessToken'
  | 'getTokenForStreaming'
  | 'invalidateToken'
  | 'clearCache'
  | 'fetch'
  | 'snapshot'
  | 'withResource'
>;

/**
 * The `init` of {@link KeycloakTokenManager.fetch}: that of the platform's `fetch`, with two more
 * members.
 *
 * @example
 * ```ts
 * import type { AuthenticatedRequestInit } from 'keycloak-token-manager';
 *
 * const init: AuthenticatedRequestInit = {
 *   method: 'POST',
 *   body: JSON.stringify({ message: 'Hello' }),
 *   headers: { 'content-type': 'application/json' },
 *   backstageUser: 'user:default/jane',
 *   signal: AbortSignal.timeout(30_000),
 * };
 * const response = await manager.fetch('chat', init);
 * console.log(response.status);
 * ```
 */
export interface AuthenticatedRequestInit extends RequestInit {
  /**
   * The user for whom the call is made, an entity ref such as `user:default/jane`: a non-empty
   * string of printable ASCII without leading or trailing spaces; anything else rejects with
   * `ERR_KEYCLOAK_REQUEST`. It is sent with this call only and replaces a header of the same name.
   */
  backstageUser?: string | undefined;
  /** For how long the token must still be valid, in seconds; see {@link GetTokenOptions}. */
  minValiditySeconds?: number | undefined;
}

/**
 * Options of {@link KeycloakTokenManager}.
 *
 * Required are `clientId`, exactly one of `tokenEndpoint` and `issuer`, and exactly one credential:
 * `clientSecret`, `clientSecretFile`, `privateKey`, `privateKeyFile`, a client certificate with its
 * key, or `clientAssertionFile`. `undefined` counts as absent. The constructor refuses an unknown
 * option.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type KeycloakTokenManagerOptions } from 'keycloak-token-manager';
 *
 * const options: KeycloakTokenManagerOptions = {
 *   tokenEndpoint: 'https://keycloak.example/realms/my-realm/protocol/openid-connect/token',
 *   clientId: 'my-client',
 *   clientSecretFile: '/run/secrets/my-client',
 *   requestTimeoutMs: 5_000,
 *   logger: console,
 * };
 * const manager = new KeycloakTokenManager(options);
 * await manager.getToken();
 * ```
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
   * `requestTimeoutMs`, kept for 24 h, and fetched again if the endpoint answers 404, 405 or 410 or
   * cannot be reached. Its `issuer` must be this URL; an https issuer may not name an http
   * endpoint.
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
   * SEC 1; a JSON Web Key may be a JSON string or an object. The key is RSA of 2048 to 4096 bits,
   * EC on P-256 or Ed25519; an encrypted one is refused.
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
   * Algorithm of signed assertions. Default: the `alg` of a JWK, or `RS256`, `ES256` or `EdDSA` by
   * the kind of key; `HS256` with a secret.
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
   * Additional headers of token and discovery requests, for API gateways. The values are treated as
   * secrets. Default: none. `Authorization`, `Cookie`, `Host`, `Accept-Encoding`, `Content-*`,
   * `Proxy-*` and headers that control the connection are refused. A value is printable ASCII
   * without leading or trailing whitespace. The headers are sent to the configured origin, and to
   * the token endpoint of the discovery document if that endpoint uses https. Messages may show the
   * values of `Forwarded` and of `X-Forwarded-For`, `-Host`, `-Port`, `-Prefix`, `-Proto` and
   * `-Server`, which are addresses.
   */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How long before expiry a token is replaced, capped at half its lifetime. In seconds, an integer
   * of at least 0. Default: 60.
   */
  tokenExpiryBufferSeconds?: number | undefined;
  /**
   * Time limit of one acquisition, including all its retries. In milliseconds, an integer of at
   * least 1. Default: 15000. The limit covers the secret function, DNS, connecting, TLS, and the
   * headers and body of the response.
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
   * Path of a PEM file with additional certificates to trust, read at every acquisition. Default:
   * none.
   */
  caFile?: string | undefined;
  /**
   * Whether the server's certificate is accepted without verification; `true` logs one warning.
   * Default: false.
   */
  skipTlsVerify?: boolean | undefined;
  /**
   * URL of an http, https or SOCKS5 proxy, or `false` for none. A user name and password in it are
   * never shown. Default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The environment variables are
   * read when the manager is created; lower-case names take precedence.
   */
  proxy?: string | false | undefined;
  /**
   * Sends token and discovery requests with the global `fetch` (`true`) or with this function,
   * instead of natively. Default: the native transport. Use it for proxies, certificates and
   * instrumentation that only JavaScript supports: the function has its own TLS, connections and
   * proxies, and nock and msw see its requests. The global `fetch` is looked up at each request.
   * The cache, refresh, retries, errors, redaction, limits and `requestTimeoutMs` stay the same.
   * The function runs on the thread, and in the `AsyncLocalStorage` context, in which the manager
   * was created. `proxy`, `ca`, `caFile`, `skipTlsVerify: true` and client certificates cannot be
   * combined with `tokenFetch`: configure the function instead. A function that presents a client
   * certificate needs `clientAuthentication: 'tls_client_auth'` and no credential. With
   * `tokenFetch`, the manager does not guarantee a refresh while the event loop is blocked, a
   * process that can end during a request, secrets outside the JavaScript heap, the time limits for
   * connecting and for idle connections, the replacement of lost connections, or an error for a
   * compressed response.
   */
  tokenFetch?: true | TokenFetch | undefined;
  /** The API to which `fetch` may send the token. Default: none. */
  resource?: ResourceOptions | undefined;
  /** Receives log lines. Backstage's `LoggerService` fits as it is. Default: none. */
  logger?: KeycloakTokenManagerLogger | undefined;
  /** Label in log lines and snapshots. Default: `clientId`. */
  name?: string | undefined;
}

/**
 * Options of {@link KeycloakTokenManager.getToken}. The call rejects with `ERR_KEYCLOAK_REQUEST` if
 * an option is unknown or wrong.
 *
 * @example
 * ```ts
 * import type { GetTokenOptions } from 'keycloak-token-manager';
 *
 * const options: GetTokenOptions = { minValiditySeconds: 120, signal: AbortSignal.timeout(2_000) };
 * const token = await manager.getToken(options);
 * console.log(token.length);
 * ```
 */
export interface GetTokenOptions {
  /**
   * For how long the token must still be valid, in seconds, a number ≥ 0. If the cached token is
   * not valid for that long, the manager requests a new one. If the server does not grant a
   * longer-lived one, the longest-lived token is returned, and one warning is logged.
   */
  minValiditySeconds?: number | undefined;
  /** Aborts the wait of this caller only. The token request goes on for the other callers. */
  signal?: AbortSignal | undefined;
  /**
   * Requests a new token even if a valid one is cached. The request is sent after the call: if an
   * earlier one is still in progress, the call waits for its end first. If the new request fails,
   * the call rejects and the cached token stays.
   */
  forceRefresh?: boolean | undefined;
}

/**
 * A token with its metadata, as {@link KeycloakTokenManager.getAccessToken} returns it. Its string
 * form is the token, because some clients put what a `getAccessToken` returns into a header.
 *
 * @example
 * ```ts
 * import type { AccessToken } from 'keycloak-token-manager';
 *
 * const { token, tokenType, expiresAt }: AccessToken = await manager.getAccessToken();
 * const headers = { authorization: `${tokenType} ${token}` };
 * console.log(Object.keys(headers), new Date(expiresAt).toISOString());
 * ```
 */
export interface AccessToken {
  /** The bearer token. */
  token: string;
  /** Always `Bearer` (RFC 6750). */
  tokenType: 'Bearer';
  /**
   * The granted scope: `scope` of the token response or, if the response has none, the requested
   * scope. `undefined` without either.
   */
  scope: string | undefined;
  /** The time at which the successful token request was sent, in ms since the epoch. */
  issuedAt: number;
  /**
   * The time until which the manager hands the token out, in ms since the epoch: the end of its
   * lifetime minus 1 s, or minus a quarter of the lifetime if that is shorter.
   */
  expiresAt: number;
}

/**
 * The state of a manager, as {@link KeycloakTokenManager.snapshot} returns it. It holds no secret
 * and no token.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenManagerSnapshot } from 'keycloak-token-manager';
 *
 * const { state, counters, lastFailure }: KeycloakTokenManagerSnapshot = manager.snapshot();
 * console.log(state, counters.acquisitions, lastFailure?.code ?? 'no failure');
 * ```
 */
export interface KeycloakTokenManagerSnapshot {
  /** The option `name`. */
  name: string;
  /**
   * - `empty`: no valid token: none was acquired yet, or it was dropped or has expired; a request
   *   may be in progress.
   * - `fresh`: a token that needs no replacement yet.
   * - `stale`: a token that is valid but due for replacement.
   * - `failing`: no valid token, and the last acquisition failed.
   * - `closed`: {@link KeycloakTokenManager.close} was called.
   */
  state: 'empty' | 'fresh' | 'stale' | 'failing' | 'closed';
  /** Seconds since the cached token was requested. Absent without a token, as are the next two. */
  tokenAgeSeconds?: number;
  /** Seconds until the cached token goes stale; negative once it is stale. */
  secondsToSoftExpiry?: number;
  /** Seconds until the cached token is no longer handed out. */
  secondsToHardExpiry?: number;
  /** Time of the last successful acquisition, in ms since the epoch. */
  lastSuccessAt?: number;
  /** The last failed acquisition: its error code, and when it failed, in ms since the epoch. */
  lastFailure?: { code: KeycloakTokenErrorCode; at: number };
  /** Totals since the manager was created. */
  counters: {
    /** Calls answered from the cache. Exact. */
    hits: number;
    /** Calls that waited for a request that another call had started. */
    joins: number;
    /** Acquisitions started. */
    acquisitions: number;
    /**
     * Attempts after the first of an acquisition. A request that is sent again because its kept
     * connection had ended does not count.
     */
    retries: number;
    /** Those of `hits` that were answered with a stale token. */
    staleServed: number;
    /** Tokens dropped by `invalidateToken` and `clearCache`. */
    invalidations: number;
    /**
     * Calls to `invalidateToken` that kept the cached token: in a cool-down, too soon, or without
     * budget.
     */
    invalidationsKept: number;
    /** Calls to `invalidateToken` with a token that is not the cached one. */
    invalidationsIgnored: number;
    /** Acquisitions that a cool-down prevented. */
    suppressed: number;
  };
  /** Durations of finished acquisitions, in ms. */
  acquisitionLatencyMs: { count: number; sum: number; max: number; last: number };
}

/**
 * The codes of {@link KeycloakTokenError}. A minor version may add codes.
 *
 * @example
 * ```ts
 * import { KeycloakTokenError, type KeycloakTokenErrorCode } from 'keycloak-token-manager';
 *
 * const misconfigured: KeycloakTokenErrorCode[] = ['ERR_KEYCLOAK_OAUTH', 'ERR_KEYCLOAK_TLS'];
 * const needsOperator = (error: unknown) =>
 *   error instanceof KeycloakTokenError && misconfigured.includes(error.code);
 * console.log(needsOperator(new Error('other')));
 * ```
 */
export type KeycloakTokenErrorCode =
  /** The options are wrong. Not retryable. */
  | 'ERR_KEYCLOAK_CONFIG'
  /** An argument of a call is wrong, or the request must not be sent. Not retryable. */
  | 'ERR_KEYCLOAK_REQUEST'
  /** A secret, key, certificate or assertion cannot be read or used. Not retryable. */
  | 'ERR_KEYCLOAK_CREDENTIAL'
  /**
   * The server refused with an OAuth error; see `oauthError`. Retryable for
   * `temporarily_unavailable` and `server_error`.
   */
  | 'ERR_KEYCLOAK_OAUTH'
  /**
   * An HTTP error that is not an OAuth error. Retryable for 408, 429 and 5xx. A 403 or 404
   * that is not JSON is retryable too if the endpoint has returned a token before.
   */
  | 'ERR_KEYCLOAK_HTTP'
  /** The server did not send a usable token response. Not retryable. */
  | 'ERR_KEYCLOAK_PROTOCOL'
  /** DNS failed, or the connection was refused, reset or cut short. Retryable. */
  | 'ERR_KEYCLOAK_NETWORK'
  /** The certificate or the TLS handshake failed. Not retryable. */
  | 'ERR_KEYCLOAK_TLS'
  /** `requestTimeoutMs` passed. Retryable. */
  | 'ERR_KEYCLOAK_TIMEOUT'
  /** The manager was closed. Not retryable. */
  | 'ERR_KEYCLOAK_CLOSED'
  /** A bug in this package. Not retryable. */
  | 'ERR_KEYCLOAK_INTERNAL';

/**
 * The only error class of this package. An error never shows a secret, a token or an assertion.
 *
 * `cause` is set if another error led to this one, for example the error of a secret function.
 *
 * @example
 * ```ts
 * import { KeycloakTokenError, KeycloakTokenManager } from 'keycloak-token-manager';
 *
 * const other = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecret: 'wrong',
 * });
 * try {
 *   await other.getToken();
 * } catch (error) {
 *   if (!(error instanceof KeycloakTokenError)) throw error;
 *   console.log(error.code, error.status, error.oauthError); // ERR_KEYCLOAK_OAUTH 401 …
 *   if (error.retryable) console.log(`try again in ${error.retryAfterMs ?? 1_000} ms`);
 * }
 * ```
 */
export class KeycloakTokenError extends Error {
  private constructor();
  readonly name: 'KeycloakTokenError';
  /** What went wrong; see {@link KeycloakTokenErrorCode}. */
  readonly code: KeycloakTokenErrorCode;
  /** Whether the same call may succeed later without a change on your side. */
  readonly retryable: boolean;
  /** The HTTP status of the response. */
  readonly status?: number;
  /**
   * `error` of the response's JSON body (RFC 6749 §5.2). `[redacted]` if it looks like a secret.
   */
  readonly oauthError?: string;
  /** `error_description` of the response's JSON body. `[redacted]` if it looks like a secret. */
  readonly oauthErrorDescription?: string;
  /**
   * How long to wait before the next call, in ms from now: the rest of the cool-down,
   * or longer if the server sent `Retry-After`.
   */
  readonly retryAfterMs?: number;
  /** How many token requests the failed acquisition sent. */
  readonly attempts?: number;
  /** The URL of the token endpoint, if it is known. */
  readonly tokenEndpoint?: string;
  /** The option `clientId`. */
  readonly clientId?: string;
}

/**
 * Returns access tokens of a service account (OAuth 2.0 client credentials grant, RFC 6749 §4.4).
 * It caches the token, sends one token request no matter how many callers wait, and refreshes the
 * token in the background.
 *
 * A manager belongs to the thread that created it. Two managers never share a token. Nothing but a
 * waiting caller keeps the process alive.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 *
 * await using service = new KeycloakTokenManager({
 *   tokenEndpoint: 'https://keycloak.example/realms/my-realm/protocol/openid-connect/token',
 *   clientId: 'my-client',
 *   clientSecret: () => process.env.CLIENT_SECRET ?? 'my-secret',
 *   resource: { baseUrl: 'https://api.example/v1' },
 * });
 * const response = await service.fetch('agents', { backstageUser: 'user:default/jane' });
 * console.log(response.status, await response.text());
 * ```
 */
export class KeycloakTokenManager implements AsyncDisposable {
  /**
   * Checks the options. It sends nothing and starts no thread.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`, naming every option that is wrong.
   */
  constructor(options: KeycloakTokenManagerOptions);
  /**
   * Returns a bearer token that is valid now. While one is cached, the call costs as much as
   * awaiting a resolved promise.
   *
   * While no token is cached, transient failures are retried until half of `requestTimeoutMs` is
   * over. After a failed acquisition the same error is returned immediately until a cool-down is
   * over: 1 s, doubling to 30 s after `OAUTH`, `CREDENTIAL` and `TLS`; 0.5 s, doubling to 5 s after
   * other failures. `retryAfterMs` says how long it still lasts.
   *
   * @returns A promise of the token. It rejects with a {@link KeycloakTokenError}, or with the
   *   reason of `signal`.
   * @example
   * ```ts
   * const token = await manager.getToken();
   * const headers = { authorization: `Bearer ${token}` };
   * await fetch('https://api.example/v1/agents', { headers });
   * ```
   */
  getToken(options?: GetTokenOptions): Promise<string>;
  /**
   * Does the same as {@link getToken} and returns the token with its metadata.
   *
   * @example
   * ```ts
   * const { expiresAt, scope } = await manager.getAccessToken({ forceRefresh: true });
   * console.log(scope, Math.round((expiresAt - Date.now()) / 1000));
   * ```
   */
  getAccessToken(options?: GetTokenOptions): Promise<AccessToken>;
  /**
   * Does the same as `getToken({ minValiditySeconds: minLifetimeMs / 1000 })`.
   *
   * @param minLifetimeMs For how long the token must still be valid, in ms, a number ≥ 0.
   * @example
   * ```ts
   * const token = await manager.getTokenForStreaming(120_000);
   * console.log(token.length);
   * ```
   */
  getTokenForStreaming(minLifetimeMs: number): Promise<string>;
  /**
   * Drops the cached token if it is the one that a resource server rejected, and returns whether it
   * did. The token stays during a cool-down, if the last drop was too recent, or if the budget of
   * drops is used up. Drops are spaced per route: 1 s after the replacement was adopted, doubling
   * to 60 s while the route rejects its replacements as well. Without an argument it does the same
   * as {@link clearCache} and returns whether it dropped a token.
   *
   * @param rejected The token that was rejected.
   * @param route A label for the part of the API that rejected it, for example its URL without the
   *   query. Default: one label for all calls without a route.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if an argument is not a string.
   * @example
   * ```ts
   * const token = await manager.getToken();
   * const headers = { authorization: `Bearer ${token}` };
   * const response = await fetch('https://api.example/v1/agents', { headers });
   * if (response.status === 401) manager.invalidateToken(token);
   * ```
   */
  invalidateToken(rejected?: string, route?: string): boolean;
  /**
   * Drops the cached token. A request in progress still answers the callers that wait for it, but
   * its token is not cached. Three calls within ten seconds take effect; further ones do nothing
   * until 1 s after the last replacement was adopted, doubling to 60 s while the calls go on.
   *
   * @example
   * ```ts
   * manager.clearCache();
   * await manager.getToken(); // sends a token request
   * ```
   */
  clearCache(): void;
  /**
   * Calls the platform's `fetch` with the access token, for URLs at the origin of
   * `resource.baseUrl` only. It works without `this`, so it can be handed to other libraries. An
   * `Authorization` header of the caller is replaced.
   *
   * - After a 401 it drops the token as {@link invalidateToken} does and sends the request once
   *   more with a new one, whatever the method. It returns the 401 if the token may not be dropped
   *   now, if the new token is refused too, if the body cannot be sent again (a stream as
   *   `init.body`, or the body of a `Request` that is over 1 MiB or not finished when the 401
   *   arrives), or if `WWW-Authenticate` requires something else than another token. Do not change
   *   the body before the response has arrived.
   * - A token that is kept is sent once more if the same route accepted it within the last minute:
   *   one of several replicas rejects it.
   * - A redirect to a login page at another origin counts as a 401. GET and HEAD are sent once more;
   *   otherwise the call rejects with `ERR_KEYCLOAK_REQUEST`.
   * - It follows redirects within the origin, with token and user, at most 20. `redirected` of the
   *   response is false nevertheless, and `url` is the last one. `integrity` is compared with the
   *   first response, so it fails a call that is redirected or sent again.
   * - {@link close} does not abort a call that was already sent.
   *
   * @returns A promise of the response. It rejects with `ERR_KEYCLOAK_REQUEST` for another origin,
   *   including one reached by a redirect, before anything is sent there; with
   *   `ERR_KEYCLOAK_CONFIG` without `resource`; with the error of {@link getToken}, and then
   *   nothing is sent; with the reason of `signal`; or as the platform's `fetch` does.
   * @example
   * ```ts
   * const response = await manager.fetch('agents', {
   *   backstageUser: 'user:default/jane',
   *   signal: AbortSignal.timeout(30_000),
   * });
   * if (!response.ok) throw new Error(`the API answered ${response.status}`);
   * console.log(await response.text());
   * ```
   */
  readonly fetch: (
    input: string | URL | Request,
    init?: AuthenticatedRequestInit,
  ) => Promise<Response>;
  /**
   * Returns a manager for another API that shares the token, its cache and its flights: for a second
   * origin, or for a base URL that changes at run time. It costs little enough to be called for each
   * request. What `fetch` learned about a route stays with this manager.
   *
   * Naming an origin trusts it with the token. Take it from your configuration, never from a request
   * or a response. Plain http is refused except on loopback.
   *
   * @param resource The API, in the form of the option `resource`.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`, naming everything that is wrong with it.
   * @example
   * ```ts
   * const spaces = manager.withResource({ baseUrl: 'https://api.example/spaces' });
   * const [agents, workspaces] = await Promise.all([
   *   manager.fetch('agents'),
   *   spaces.fetch('workspaces'),
   * ]);
   * console.log(agents.status, workspaces.status);
   * ```
   */
  withResource(resource: ResourceOptions): ResourceTokenManager;
  /**
   * Returns the state, for health checks and metrics. It sends nothing.
   *
   * @example
   * ```ts
   * const { state, secondsToHardExpiry, acquisitionLatencyMs } = manager.snapshot();
   * console.log(state, secondsToHardExpiry, acquisitionLatencyMs.last);
   * ```
   */
  snapshot(): KeycloakTokenManagerSnapshot;
  /**
   * Stops background work, rejects waiting callers with `ERR_KEYCLOAK_CLOSED` and overwrites the
   * secrets in native memory. A closed manager cannot be opened again. Idempotent.
   *
   * @example
   * ```ts
   * process.once('SIGTERM', () => manager.close());
   * ```
   */
  close(): Promise<void>;
  /** Does the same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
