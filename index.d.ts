/// <reference types="node" />

/**
 * The method by which the client authenticates itself to the token endpoint.
 *
 * - `client_secret_post`: sends `client_id` and `client_secret` in the form (RFC 6749 §2.3.1).
 * - `client_secret_basic`: sends an `Authorization: Basic` header with the client id and the
 *   secret, both form-encoded as RFC 6749 §2.3.1 requires.
 * - `client_secret_jwt`: signs an assertion with the secret (OpenID Connect Core 1.0 §9). Keycloak
 *   calls this "Signed JWT with Client Secret".
 * - `private_key_jwt`: signs an assertion with a private key (RFC 7523). Keycloak calls this
 *   "Signed JWT".
 * - `tls_client_auth`: presents a certificate in the TLS handshake (RFC 8705 §2.1). Keycloak calls
 *   this "X509 Certificate". The token endpoint must use https.
 * - `client_assertion_file`: sends an assertion from a file, such as a projected Kubernetes service
 *   account token or a SPIFFE JWT-SVID. Another program signs the assertion and keeps it fresh.
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
 * The algorithm with which the manager signs an assertion (RFC 7518 §3, RFC 8037 §3.1). `HS256`,
 * `HS384` and `HS512` are for `client_secret_jwt`; the others are for `private_key_jwt`.
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
export type SigningAlgorithm =
  | 'RS256'
  | 'PS256'
  | 'ES256'
  | 'ES384'
  | 'EdDSA'
  | 'HS256'
  | 'HS384'
  | 'HS512';

/**
 * A private key as a JSON Web Key (RFC 7517, RFC 7518 §6, RFC 8037 §2).
 *
 * @example
 * ```ts
 * import { readFileSync } from 'node:fs';
 * import { KeycloakTokenManager, type PrivateJsonWebKey } from 'keycloak-token-manager';
 *
 * const privateKey: PrivateJsonWebKey = JSON.parse(readFileSync('/run/secrets/key.jwk', 'utf8'));
 * new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   privateKey,
 * });
 * ```
 */
export interface PrivateJsonWebKey {
  /**
   * `RSA` for a 2048-, 3072- or 4096-bit key, `EC` for a P-256 or P-384 key, `OKP` for an Ed25519
   * key.
   */
  kty: 'RSA' | 'EC' | 'OKP';
  /** The `kid` header of assertions, unless the option `keyId` is set. */
  kid?: string | undefined;
  /**
   * The members that RFC 7518 and RFC 8037 define for this key type. The manager ignores other
   * members.
   */
  [member: string]: unknown;
}

/**
 * Receives log lines. You can pass Backstage's `LoggerService` or `console`. The manager ignores
 * errors that a logger throws.
 *
 * The manager logs each successful acquisition with `debug`, the first of several consecutive
 * failures with `warn`, and the recovery with `info`. It logs each warning about the configuration
 * only once. No line contains a secret, a token or an assertion. The manager itself never calls
 * `error`.
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
 * A store for {@link KeycloakTokenManagerOptions.store} in which the replicas of a program share
 * tokens, such as a Redis, Valkey or Memcached client behind three functions.
 *
 * A key has fewer than 64 characters. Keys and values consist of letters, digits, `-` and `_`. The
 * manager encrypts the values, so the store needs no access control of its own. Each value contains
 * its expiry time, so the store may keep a value for longer than `ttlMs`. The manager waits at most
 * 250 ms for each call to the store. A failure of the store never makes a call to the manager fail.
 * After a store call that takes longer, or after two consecutive errors, the manager stops using
 * the store and sends it one probe every five seconds until a probe succeeds. The manager waits for
 * each probe to settle before it sends the next one. Every promise that the store returns must
 * therefore settle eventually, unless the store has the method `remake`.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager, type TokenStore } from 'keycloak-token-manager';
 *
 * const entries = new Map<string, string>();
 * const store: TokenStore = {
 *   get: async (key) => entries.get(key),
 *   set: async (key, value, ttlMs) => {
 *     entries.set(key, value);
 *     setTimeout(() => entries.delete(key), ttlMs).unref();
 *   },
 *   delete: async (key) => entries.delete(key),
 * };
 * new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecretFile: '/run/secrets/my-client',
 *   store,
 *   storeKey: 'a secret of at least 24 characters',
 * });
 * ```
 */
export interface TokenStore {
  /** Returns the value of a key; `undefined` or `null` if the store does not have the key. */
  get(key: string): Promise<string | undefined | null>;
  /**
   * Stores a value.
   *
   * @param ttlMs The time in ms after which the store may delete the value: an integer ≥ 1,000.
   */
  set(key: string, value: string, ttlMs: number): Promise<unknown>;
  /** Deletes a value. */
  delete(key: string): Promise<unknown>;
  /**
   * Replaces the store's client, which may have stopped working. The manager calls this method
   * after every second failed probe, and then stops waiting for calls to the old client. To keep
   * the current client, throw an error or return a promise that rejects.
   */
  remake?(): void | Promise<void>;
}

/**
 * A function for {@link KeycloakTokenManagerOptions.tokenFetch} that sends token, discovery and
 * revocation requests: the global `fetch`, undici's `fetch` with a dispatcher, node-fetch, or a
 * test double.
 *
 * The manager passes the URL as a string, and an `init` with `method`, `headers`, `body`,
 * `redirect: 'manual'` and `signal`. The manager aborts the signal when the deadline passes or you
 * close the manager. The function must not follow redirects: if the response's `redirected` is
 * true, or its `url` is not the requested URL, the acquisition fails with `ERR_KEYCLOAK_PROTOCOL`.
 * If the function throws an error or its promise rejects, the acquisition fails with the retryable
 * `ERR_KEYCLOAK_NETWORK`, or with `ERR_KEYCLOAK_TLS` if the error's `code` (or the `code` of a
 * nested `cause`) concerns certificates or TLS.
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
 * The second argument of a {@link TokenFetch}. The type is assignable to the `RequestInit` of
 * `fetch`.
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
  /** `POST` for a token or revocation request, `GET` for a discovery request. */
  method: string;
  /** The headers, with names in lower case. The values may be secrets. */
  headers: Record<string, string>;
  /** The encoded form of a token or revocation request. It may contain a secret. */
  body?: string;
  /** Always `manual`. */
  redirect: 'manual';
  /** The signal that the manager aborts when the deadline passes or you close the manager. */
  signal: AbortSignal;
}

/**
 * The part of a `Response` that a {@link TokenFetch} must return. The manager reads the body from
 * `body` if `body` is a web stream or a Node stream, and otherwise with `arrayBuffer` or `text`.
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
  /** The HTTP status, an integer from 100 to 599. */
  readonly status: number;
  /** The response headers. */
  readonly headers?: { get(name: string): string | null | undefined } | undefined;
  /** Whether the function followed a redirect. */
  readonly redirected?: boolean | undefined;
  /** The URL of the response; an empty string counts as unknown. */
  readonly url?: string | undefined;
  /**
   * The type of the response. `opaqueredirect` marks a redirect whose status the platform hides, as
   * browsers do.
   */
  readonly type?: string | undefined;
  /** The body as a web stream or a Node stream. */
  readonly body?: unknown;
  /** Reads the body as bytes. */
  arrayBuffer?: (() => Promise<ArrayBuffer>) | undefined;
  /** Reads the body as text. */
  text?: (() => Promise<string>) | undefined;
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
   * Absolute `http` or `https` URL of the API, without userinfo, query or fragment. Only its origin
   * receives the token. `fetch` resolves a relative input as if this URL ended with a slash: with
   * `https://api.example/v1`, `agents` resolves to `/v1/agents`, and `/agents` resolves to
   * `/agents`.
   */
  baseUrl: string;
  /**
   * Header that names the user on whose behalf you make a call. Default: `X-Backstage-User`. To
   * name the user, set {@link AuthenticatedRequestInit.backstageUser} in the call. The manager
   * refuses headers that carry credentials, such as `Authorization`, and headers that control how a
   * server reads the request.
   */
  userHeader?: string | undefined;
  /**
   * Function that sends the requests to the API instead of the global `fetch`, such as undici's
   * `fetch` with a dispatcher, or a test double. Default: the global `fetch`, which the manager
   * looks up at each request. The function receives a string, or the caller's own `Request`. The
   * manager passes `redirect: 'manual'`, so the function must return redirects with their status
   * and `Location`, as Node's `fetch` does.
   */
  fetch?: ((input: string | Request, init?: RequestInit) => Promise<Response>) | undefined;
}

/**
 * A manager that was derived from another manager: to request other tokens for the same client
 * ({@link KeycloakTokenManager.for}), to act for a user ({@link KeycloakTokenManager.onBehalfOf}),
 * or to call another API ({@link KeycloakTokenManager.withResource}). A derived manager shares the
 * configuration, the credential and the connections of the other manager, and closes when you close
 * that manager. It has its own token and counters, unless it was derived for another API.
 *
 * @example
 * ```ts
 * import type { DerivedTokenManager } from 'keycloak-token-manager';
 *
 * const spaces: DerivedTokenManager = manager.withResource({ baseUrl: 'https://api.example/v2' });
 * const response = await spaces.fetch('workspaces');
 * console.log(response.status, await response.text());
 * ```
 */
export type DerivedTokenManager = Pick<
  KeycloakTokenManager,
  | 'getToken'
  | 'getAccessToken'
  | 'getTokenForStreaming'
  | 'invalidateToken'
  | 'clearCache'
  | 'fetch'
  | 'headers'
  | 'dpopProof'
  | 'snapshot'
  | 'for'
  | 'onBehalfOf'
  | 'forgetSubject'
  | 'withResource'
>;

/**
 * The request of a derived manager. An absent property takes its value from the manager whose
 * method you call.
 *
 * @example
 * ```ts
 * import type { ExchangeRequest } from 'keycloak-token-manager';
 *
 * export const billing: ExchangeRequest = { audience: 'billing-api', scope: ['invoices:read'] };
 * ```
 */
export interface ExchangeRequest {
  /**
   * Scopes to request (RFC 6749 §3.3), as a space-separated string or as an array of single scopes.
   * The scopes must have at most 4,000 characters in total, because Keycloak ignores longer scopes
   * without an error. Their order does not matter.
   */
  scope?: string | readonly string[] | undefined;
  /**
   * Audiences to request (RFC 8693 §2.1), each of 1 to 4,000 characters. In a token exchange, each
   * audience is the id of a Keycloak client. For the client's own token, Keycloak ignores the
   * audiences, and the manager logs one warning if the token lacks one of them.
   */
  audience?: string | readonly string[] | undefined;
  /** Resources to request (RFC 8707), each of 1 to 4,000 characters. */
  requestedResource?: string | readonly string[] | undefined;
  /** Additional form fields. They replace all `parameters` of the manager. */
  parameters?: Readonly<Record<string, string>> | undefined;
  /**
   * The API that `fetch` calls, in the same form as the option `resource`. The manager refuses
   * plain http except on loopback.
   */
  resource?: ResourceOptions | undefined;
  /**
   * The type of the subject token. Default: `urn:ietf:params:oauth:token-type:access_token`, the
   * only type that Keycloak accepts.
   */
  subjectTokenType?: string | undefined;
}

/**
 * The request of {@link KeycloakTokenManager.for}.
 *
 * @example
 * ```ts
 * import type { DerivedRequest } from 'keycloak-token-manager';
 *
 * export const reports: DerivedRequest = {
 *   scope: ['reports:read', 'reports:write'],
 *   resource: { baseUrl: 'https://api.example/reports' },
 * };
 * ```
 */
export interface DerivedRequest extends Omit<ExchangeRequest, 'subjectTokenType'> {
  /**
   * Requests the token with the JWT authorization grant (RFC 7523 §2.1): `assertion` is a signed
   * JWT of at most 20,000 characters, or a function that returns such a JWT or a promise of one.
   * The manager calls the function before each token request, because Keycloak accepts an assertion
   * only once. If the function throws, calls reject with `ERR_KEYCLOAK_CREDENTIAL`, and the thrown
   * error is the `cause`. Keycloak has supported this grant since release 26.6.
   */
  grant?: { type: 'jwt-bearer'; assertion: string | (() => string | Promise<string>) } | undefined;
}

/**
 * Options of {@link KeycloakTokenManager.close}.
 *
 * @example
 * ```ts
 * import type { CloseOptions } from 'keycloak-token-manager';
 *
 * export const atSignOut: CloseOptions = { revoke: true };
 * ```
 */
export interface CloseOptions {
  /**
   * Whether the manager revokes its own valid tokens and those of its derived managers (RFC 7009)
   * before the promise resolves. Default: `false`. The revocation takes at most 2 s, and the
   * manager logs the outcome. APIs that verify tokens offline accept a revoked token until it
   * expires. The manager does not revoke tokens that it shares through the option `store`.
   */
  revoke?: boolean | undefined;
}

/**
 * The `init` of {@link KeycloakTokenManager.fetch}: the `init` of the platform's `fetch` with
 * additional properties.
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
   * The user for whom you make the call, as an entity ref such as `user:default/jane`: a non-empty
   * string of printable ASCII characters without leading or trailing spaces. The call rejects with
   * `ERR_KEYCLOAK_REQUEST` for any other value. `fetch` sends this user only with this call, in the
   * header that `resource.userHeader` names, and replaces any header of the same name.
   */
  backstageUser?: string | undefined;
  /**
   * The minimum remaining validity of the token, in seconds, a number ≥ 0. Default: 0. See
   * {@link GetTokenOptions}.
   */
  minValiditySeconds?: number | undefined;
  /**
   * The access token of the user for whom you make the call. Instead of the manager's own token,
   * `fetch` sends the token that {@link KeycloakTokenManager.onBehalfOf} obtains. If this property
   * is present without a token, even as `undefined`, the call rejects with `ERR_KEYCLOAK_REQUEST`:
   * a call that is meant for a user must never run with the rights of the service.
   */
  onBehalfOf?: string;
  /** The scopes of the token for this call; see {@link KeycloakTokenManager.for}. */
  scope?: string | readonly string[] | undefined;
  /** The audiences of the token for this call; see {@link KeycloakTokenManager.for}. */
  audience?: string | readonly string[] | undefined;
}

/**
 * Options of {@link KeycloakTokenManager}.
 *
 * You must set `clientId`, exactly one of `tokenEndpoint` and `issuer`, and exactly one credential:
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
   * URL of the token endpoint; in Keycloak, `{base}/realms/{realm}/protocol/openid-connect/token`.
   * Exactly one of `tokenEndpoint` and `issuer` is required. The URL must be absolute, use `http`
   * or `https`, and contain no userinfo and no fragment. The manager logs one warning if the URL
   * uses plain http for a host other than loopback.
   */
  tokenEndpoint?: string | undefined;
  /**
   * URL of the realm; in Keycloak, `{base}/realms/{realm}`. The manager takes the token endpoint
   * from the realm's discovery document. The URL must be absolute, use `http` or `https`, and
   * contain no userinfo, query or fragment. The manager fetches the document (OpenID Connect
   * Discovery 1.0) before the first token request, within `requestTimeoutMs`, and keeps the
   * document for 24 h. The manager fetches the document again if the endpoint is unreachable or
   * responds with 404, 405 or 410. The document's `issuer` must be this URL. If the issuer uses
   * https, the document must not name an http endpoint.
   */
  issuer?: string | undefined;
  /** Id of the client, a non-empty string. */
  clientId: string;
  /**
   * Client secret. Exactly one credential is required: a secret, a private key or a certificate
   * with its key (each as a value or in a file), or an assertion in a file. The option may also be
   * a function that returns the secret or a promise of it. The manager calls the function once per
   * acquisition, and once more if the server refuses the client, to pick up a rotated secret. The
   * function runs on the thread that created the manager, so a blocked event loop delays a refresh.
   * If the function throws, or does not provide a non-empty string within `requestTimeoutMs`, the
   * acquisition fails with `ERR_KEYCLOAK_CREDENTIAL`.
   */
  clientSecret?: string | (() => string | Promise<string>) | undefined;
  /**
   * Path of a file that holds the secret. The manager reads the file at every acquisition and drops
   * one trailing newline. If the server refuses the client, the manager reads the file again. If
   * the server has accepted this secret before, the manager rereads the file for up to 0.6 s. You
   * can therefore change the secret in the file and on the server up to half a second apart.
   */
  clientSecretFile?: string | undefined;
  /**
   * Method by which the client authenticates to the token endpoint. Default: `client_secret_post`,
   * or the method that the credential implies.
   */
  clientAuthentication?: ClientAuthentication | undefined;
  /**
   * Private key for `private_key_jwt`, in PEM or as a JSON Web Key. The PEM form may be PKCS #8,
   * PKCS #1 or SEC 1. A JSON Web Key may be an object or a JSON string. The key must be a 2048-,
   * 3072- or 4096-bit RSA key, a P-256 or P-384 EC key, or an Ed25519 key. The manager accepts a
   * P-384 key only in PKCS #8 or as a JSON Web Key. It refuses an encrypted key.
   */
  privateKey?: string | PrivateJsonWebKey | undefined;
  /**
   * Path of a file that holds the private key. The manager reads the file at every acquisition. If
   * the server refuses the client, the manager reads the file again, as it does with
   * `clientSecretFile`.
   */
  privateKeyFile?: string | undefined;
  /** Header `kid` of signed assertions. Default: the `kid` of the JSON Web Key, if any. */
  keyId?: string | undefined;
  /**
   * Algorithm with which the manager signs assertions. Default: the `alg` of the JSON Web Key, or
   * else `RS256`, `ES256`, `ES384` or `EdDSA`, depending on the key type; `HS256` for a secret.
   */
  signingAlgorithm?: SigningAlgorithm | undefined;
  /**
   * Claim `aud` of signed assertions. Default: the issuer. Without `issuer`, the default is
   * `tokenEndpoint` without `/protocol/openid-connect/token`. Set this option if Keycloak's public
   * hostname differs from the hostname in `tokenEndpoint`.
   */
  assertionAudience?: string | undefined;
  /** PEM client certificate for `tls_client_auth`, followed by the intermediate certificates. */
  clientCertificate?: string | undefined;
  /**
   * Path of a file that holds the client certificate. The manager reads the file at every
   * acquisition. If the certificate changes, the manager does not close connections in use.
   */
  clientCertificateFile?: string | undefined;
  /** Unencrypted private key of the client certificate, in PEM. */
  clientKey?: string | undefined;
  /**
   * Path of a file that holds the private key of the client certificate. The manager reads the file
   * at every acquisition.
   */
  clientKeyFile?: string | undefined;
  /**
   * Path of a file that holds a signed assertion, such as a projected Kubernetes token or a SPIFFE
   * JWT-SVID. The manager reads the file for every attempt. Another program signs the assertion and
   * keeps it fresh.
   */
  clientAssertionFile?: string | undefined;
  /**
   * Form field `client_assertion_type` for the assertion of `clientAssertionFile`. Default:
   * `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`. A SPIFFE JWT-SVID needs
   * `urn:ietf:params:oauth:client-assertion-type:jwt-spiffe`.
   */
  clientAssertionType?: string | undefined;
  /**
   * Scopes to request (RFC 6749 §3.3), as a space-separated string or as an array of single scopes.
   * Default: none. The scopes must have at most 4,000 characters in total, because Keycloak ignores
   * longer scopes without an error. The manager sends the scopes in the order in which you list
   * them. Replicas share a token through `store` only if they list the scopes in the same order.
   */
  scope?: string | readonly string[] | undefined;
  /**
   * Audiences to request (form field `audience`, RFC 8693 §2.1). Default: none. Each audience must
   * have 1 to 4,000 characters. Keycloak reads this field only in a token exchange. To add an
   * audience to the client's own token, assign a client scope with an audience mapper, and request
   * that client scope with `scope`.
   */
  audience?: string | readonly string[] | undefined;
  /**
   * Resources to request (form field `resource`, RFC 8707). Default: none. Each resource must have
   * 1 to 4,000 characters. Keycloak reads this field only if an experimental feature is enabled.
   */
  requestedResource?: string | readonly string[] | undefined;
  /**
   * Additional form fields for the token request. Backstage does not treat their values as secrets.
   * Default: none. The parameters must not name a field that the manager sets: `grant_type`,
   * `client_id`, `client_secret`, `scope`, `client_assertion`, `client_assertion_type`,
   * `subject_token`, `subject_token_type`, `requested_token_type`, `assertion`.
   */
  parameters?: Readonly<Record<string, string>> | undefined;
  /**
   * Additional headers for token, discovery and revocation requests, such as an API gateway
   * requires. The manager treats the values as secrets. Default: none. The manager refuses
   * `Authorization`, `DPoP`, `Cookie`, `Host`, `Accept-Encoding`, `Content-*`, `Proxy-*` and
   * headers that control the connection. A value must consist of printable ASCII characters,
   * without leading or trailing spaces. The manager sends the headers to the configured origin, and
   * to the token endpoint in the discovery document if that endpoint uses https. The manager does
   * not redact the values of `Forwarded` and of `X-Forwarded-For`, `-Host`, `-Port`, `-Prefix`,
   * `-Proto` and `-Server`, because these values are not secret.
   */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Time before a token's expiry at which the manager replaces the token. The manager limits this
   * time to half of the token's lifetime. A non-negative integer, in seconds. Default: 60.
   */
  tokenExpiryBufferSeconds?: number | undefined;
  /**
   * Time limit for one acquisition, including all its retries. An integer of at least 1, in
   * milliseconds. Default: 15000. The limit covers the secret function, DNS, connecting, TLS, and
   * the headers and body of the response.
   */
  requestTimeoutMs?: number | undefined;
  /**
   * Whether the manager replaces a token in the background before the token becomes stale, as long
   * as callers use the token. Default: true.
   */
  backgroundRefresh?: boolean | undefined;
  /** PEM certificates to trust in addition to the certificates that Node trusts. Default: none. */
  ca?: string | undefined;
  /**
   * Path of a PEM file with additional certificates to trust. The manager reads the file at every
   * acquisition. Default: none.
   */
  caFile?: string | undefined;
  /**
   * Whether the manager accepts the server's certificate without verification. With `true`, the
   * manager logs one warning. Default: false.
   */
  skipTlsVerify?: boolean | undefined;
  /**
   * URL of an http, https or SOCKS5 proxy, or `false` for none. The manager never shows the user
   * name or the password in the URL. Default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The
   * constructor reads these environment variables; their lower-case names take precedence.
   */
  proxy?: string | false | undefined;
  /**
   * Function that sends token, discovery and revocation requests instead of the native transport;
   * `true` means the global `fetch`. Default: the native transport. Use this option for proxies,
   * certificates and instrumentation that are available only in JavaScript. The function manages
   * its own TLS, connections and proxies, and nock and msw can intercept its requests. The manager
   * looks up the global `fetch` at each request. The cache, refresh, retries, errors, redaction,
   * limits and `requestTimeoutMs` work as with the native transport. The function runs on the
   * thread, and in the `AsyncLocalStorage` context, in which you created the manager. You cannot
   * combine `tokenFetch` with `proxy`, `ca`, `caFile`, `skipTlsVerify: true` or a client
   * certificate: configure the function instead. If the function presents a client certificate, set
   * `clientAuthentication: 'tls_client_auth'` and no credential. Some guarantees do not hold with
   * `tokenFetch`: a refresh waits while the event loop is blocked, an open request keeps the
   * process alive, and secrets are on the JavaScript heap. The function, not the manager, limits
   * the time to connect, closes idle connections and replaces lost connections. Compressed
   * responses, which the native transport refuses, cause no error.
   */
  tokenFetch?: true | TokenFetch | undefined;
  /** The API to which `fetch` may send the token. Default: none. */
  resource?: ResourceOptions | undefined;
  /**
   * Maximum number of user tokens (`onBehalfOf`) that the manager keeps. The manager drops the
   * least recently used token first. An integer of at least 1. Default: 10000.
   */
  maxUserTokens?: number | undefined;
  /**
   * Whether the manager requests tokens that the server binds to a key (DPoP, RFC 9449). A stolen
   * token is useless without the key. Default: false. Every token request, and every request that
   * `fetch` sends to the API, carries a proof of possession of the key. The API must accept the
   * scheme `DPoP`. Keycloak has supported DPoP by default since 26.4.
   */
  dpop?: boolean | undefined;
  /**
   * Private key for `dpop`, in the same forms as `privateKey`. Default: a generated ES256 key. The
   * key determines the algorithm: `RS256` (or `PS256`, if that is the `alg` of the JSON Web Key),
   * `ES256`, `ES384` or `EdDSA`. RSA is slow: signing a proof with a 2048-bit RSA key takes about
   * twenty times as long as with a P-256 key. Without this option, the manager generates a key,
   * which never leaves native memory.
   */
  dpopKey?: string | PrivateJsonWebKey | undefined;
  /**
   * A store through which replicas share encrypted tokens, so that one replica requests a token for
   * all of them. Default: none. Before the manager sends a token request, it looks for a token in
   * the store. When the server grants a token, the manager writes this token to the store. If the
   * store fails or does not answer within 250 ms, the manager requests the token from the server.
   * The manager never stores a token that is bound to a generated DPoP key. The manager calls the
   * store's methods on the thread, and in the `AsyncLocalStorage` context, in which you created the
   * manager.
   */
  store?: TokenStore | undefined;
  /**
   * Secret of at least 24 characters, the same in all replicas, from which the manager derives the
   * keys that encrypt the tokens in `store`. Default: `clientSecret`, if it is a string of at least
   * 24 characters. If you change the secret, the manager cannot read the tokens in the store and
   * requests new ones.
   */
  storeKey?: string | undefined;
  /**
   * Whether `store` may also hold tokens that the manager obtains for users (`onBehalfOf`) or with
   * assertions (`grant`). Default: false. The manager never stores a token that it obtains with an
   * assertion that a function returns.
   */
  storeUserTokens?: boolean | undefined;
  /**
   * Whether token requests carry the header `traceparent` of the active span, so that Keycloak's
   * spans join your traces. Default: false. The option needs the package `@opentelemetry/api`. The
   * global propagator writes the header for the span that is active in the call that starts the
   * request. A background refresh sends no such header.
   */
  propagateTraceContext?: boolean | undefined;
  /**
   * Logger that receives the log lines. You can pass Backstage's `LoggerService` directly. Default:
   * none.
   */
  logger?: KeycloakTokenManagerLogger | undefined;
  /** Label in log lines, snapshots and metrics. Default: `clientId`. */
  name?: string | undefined;
}

/**
 * Options of {@link KeycloakTokenManager.getToken}. The call rejects with `ERR_KEYCLOAK_REQUEST` if
 * an option is unknown or invalid.
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
   * The minimum remaining validity of the token, in seconds, a number ≥ 0. Default: 0. If the
   * cached token is not valid for that long, the manager requests a new one. If the server grants
   * no token that is valid for that long, the call returns the longest-lived token, and the manager
   * logs one warning.
   */
  minValiditySeconds?: number | undefined;
  /**
   * Ends only this call's wait: when the signal aborts, the call rejects with the signal's reason,
   * and the token request continues.
   */
  signal?: AbortSignal | undefined;
  /**
   * Whether the manager requests a new token even if a valid token is cached. Default: `false`. The
   * new request always starts after the call: if an earlier request is still in progress, the call
   * first waits until that request has ended. If the new request fails, the call rejects and the
   * cached token stays.
   */
  forceRefresh?: boolean | undefined;
}

/**
 * A token with its metadata, as {@link KeycloakTokenManager.getAccessToken} returns it. The string
 * form of the object is the token, because some clients put the result of `getAccessToken` directly
 * into a header.
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
  /** The access token. */
  token: string;
  /**
   * The scheme for the `Authorization` header: `DPoP` (RFC 9449) for a token that is bound to the
   * key of the option `dpop`, otherwise `Bearer` (RFC 6750). A request with a `DPoP` token needs a
   * proof: see {@link KeycloakTokenManager.dpopProof}.
   */
  tokenType: 'Bearer' | 'DPoP';
  /**
   * The granted scope: `scope` of the token response or, if the response has none, the requested
   * scope. `undefined` if neither exists.
   */
  scope: string | undefined;
  /** The time at which the manager sent the successful token request, in ms since the epoch. */
  issuedAt: number;
  /**
   * The time until which the manager hands the token out, in ms since the epoch: the end of the
   * token's lifetime minus 1 s, or minus a quarter of the lifetime if that is shorter.
   */
  expiresAt: number;
}

/**
 * The request for which {@link KeycloakTokenManager.headers} returns headers.
 *
 * @example
 * ```ts
 * import type { RequestHeadersOptions } from 'keycloak-token-manager';
 *
 * const handshake: RequestHeadersOptions = {
 *   url: 'wss://api.example/v1/events',
 *   method: 'GET',
 *   backstageUser: 'user:default/jane',
 * };
 * console.log(Object.keys(await manager.headers(handshake)));
 * ```
 */
export interface RequestHeadersOptions {
  /**
   * URL of the request, with the scheme `http`, `https`, `ws` or `wss`. With the option `resource`,
   * a relative URL resolves against `resource.baseUrl`, and the call rejects with
   * `ERR_KEYCLOAK_REQUEST` for another origin. When the manager compares origins, `ws` counts as
   * `http`, and `wss` as `https`. Required with the option `dpop`.
   */
  url?: string | URL | undefined;
  /**
   * HTTP method of the request: `GET` for a WebSocket or an EventSource, `POST` for gRPC. Required
   * with the option `dpop`.
   */
  method?: string | undefined;
  /** The user for whom you send the request; see {@link AuthenticatedRequestInit.backstageUser}. */
  backstageUser?: string | undefined;
  /**
   * The access token of the user on whose behalf you send the request; see
   * {@link AuthenticatedRequestInit.onBehalfOf}.
   */
  onBehalfOf?: string;
}

/**
 * The request for which {@link KeycloakTokenManager.dpopProof} creates a proof.
 *
 * @example
 * ```ts
 * import type { DpopProofOptions } from 'keycloak-token-manager';
 *
 * const request: DpopProofOptions = {
 *   method: 'GET',
 *   url: 'https://api.example/v1/agents',
 *   token: await manager.getToken(),
 * };
 * console.log(manager.dpopProof(request));
 * ```
 */
export interface DpopProofOptions {
  /** HTTP method of the request. */
  method: string;
  /**
   * Absolute URL of the request, with the scheme `http`, `https`, `ws` or `wss`. The proof contains
   * the URL without its query and fragment.
   */
  url: string | URL;
  /** The access token that the request carries. */
  token: string;
  /**
   * The `DPoP-Nonce` of the API's last response. Default: the last nonce that `fetch` received from
   * this origin, if any.
   */
  nonce?: string | undefined;
}

/**
 * The state of a manager, as {@link KeycloakTokenManager.snapshot} returns it. The snapshot
 * contains no secret and no token.
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
   * With the option `dpop`: the thumbprint of the public key (RFC 7638, SHA-256, Base64url), which
   * the server writes into the claim `cnf.jkt` of tokens. Absent once the manager is closed.
   */
  dpopThumbprint?: string;
  /**
   * - `empty`: the manager holds no valid token, because it has not yet acquired a token, it has
   *   dropped the token, or the token has expired. A request may be in progress.
   * - `fresh`: the cached token needs no replacement yet.
   * - `stale`: the cached token is valid but due for replacement.
   * - `failing`: the manager holds no valid token, and the last acquisition failed.
   * - `closed`: you have closed the manager with {@link KeycloakTokenManager.close}.
   */
  state: 'empty' | 'fresh' | 'stale' | 'failing' | 'closed';
  /**
   * Seconds since the manager requested the cached token. Absent, like the next two properties, if
   * no token is cached.
   */
  tokenAgeSeconds?: number;
  /** Seconds until the cached token becomes stale; negative once the token is stale. */
  secondsToSoftExpiry?: number;
  /** Seconds until the manager no longer hands out the cached token. */
  secondsToHardExpiry?: number;
  /** Time of the last successful acquisition, in ms since the epoch. */
  lastSuccessAt?: number;
  /**
   * The last failed acquisition: its error code (`code`), and the time of the failure in ms since
   * the epoch (`at`).
   */
  lastFailure?: { code: KeycloakTokenErrorCode; at: number };
  /** Totals since the manager was created. */
  counters: KeycloakTokenManagerCounters;
  /**
   * The number of finished acquisitions (`count`), and their durations in ms: the sum of all
   * durations (`sum`), the longest (`max`) and the most recent (`last`).
   */
  acquisitionLatencyMs: { count: number; sum: number; max: number; last: number };
  /**
   * The managers that were derived with {@link KeycloakTokenManager.for} and
   * {@link KeycloakTokenManager.onBehalfOf}. Absent until one of them has been used.
   */
  derived?: {
    /** The number of managers that have requested a token and are still in use. */
    managers: number;
    /** The number of valid tokens that these managers hold. */
    tokens: number;
    /**
     * The sum of each counter over all derived managers, including managers that no longer exist.
     */
    counters: KeycloakTokenManagerCounters;
  };
}

/**
 * The counters of a {@link KeycloakTokenManagerSnapshot}, which only grow.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenManagerCounters } from 'keycloak-token-manager';
 *
 * const { hits, acquisitions }: KeycloakTokenManagerCounters = manager.snapshot().counters;
 * console.log(hits / acquisitions);
 * ```
 */
export interface KeycloakTokenManagerCounters {
  /** The exact number of calls that the manager served from the cache. */
  hits: number;
  /** The number of calls that waited for an acquisition that was already in progress. */
  joins: number;
  /** The number of acquisitions that the manager has started. */
  acquisitions: number;
  /**
   * The number of attempts after the first attempt of an acquisition. The manager does not count a
   * request that it resends because an idle connection had closed.
   */
  retries: number;
  /** The number of calls in `hits` that received a stale token. */
  staleServed: number;
  /** The number of tokens that `invalidateToken`, `clearCache` and `fetch` dropped. */
  invalidations: number;
  /**
   * The number of rejections, reported by `invalidateToken` or `fetch`, after which the manager
   * kept the cached token: during a cool-down, too soon after the last drop, or because the budget
   * of drops was used up.
   */
  invalidationsKept: number;
  /** The number of rejections of a token that is not the cached token. */
  invalidationsIgnored: number;
  /** The number of calls that failed immediately because of a cool-down. */
  suppressed: number;
  /**
   * The number of acquisitions that took a token from the shared
   * {@link KeycloakTokenManagerOptions.store} and sent no token request.
   */
  storeHits: number;
  /**
   * The number of calls to the store that failed or took too long. Always 0 in a derived manager:
   * the manager from which it was derived counts these calls.
   */
  storeFailures: number;
}

/**
 * The properties of every message that a manager publishes on `node:diagnostics_channel`. No
 * message contains a secret, a token or any information about a user.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenMessage } from 'keycloak-token-manager';
 *
 * export const label = ({ manager, serverAddress }: KeycloakTokenMessage) =>
 *   `${manager} at ${serverAddress}`;
 * ```
 */
export interface KeycloakTokenMessage {
  /** The option `name`. A derived manager has the name of the manager from which it was derived. */
  manager: string;
  /** The option `clientId`. */
  clientId: string;
  /** The host of the option `issuer` or `tokenEndpoint`. */
  serverAddress: string;
  /** The port of the same URL; if the URL contains none, 443 for https and 80 for http. */
  serverPort: number;
}

/**
 * A message of the tracing channel `keycloak-token-manager:acquisition`. The manager publishes the
 * same object at the start and at the end of an acquisition.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { KeycloakTokenAcquisitionMessage } from 'keycloak-token-manager';
 *
 * subscribe('tracing:keycloak-token-manager:acquisition:asyncEnd', (message) => {
 *   const { cause, outcome, durationSeconds } = message as KeycloakTokenAcquisitionMessage;
 *   console.log(`${cause}: ${outcome} after ${durationSeconds} s`);
 * });
 * ```
 */
export interface KeycloakTokenAcquisitionMessage extends KeycloakTokenMessage {
  /**
   * - `miss`: a call found no token that meets its requirements.
   * - `refresh`: the cached token was due for replacement.
   * - `forced`: a call set `forceRefresh`.
   * - `rejected`: a call found no token, because an API had rejected the token or a caller had
   *   cleared it.
   */
  cause: 'miss' | 'refresh' | 'forced' | 'rejected';
  /** The form field `grant_type` of the token request. */
  grantType: string;
  /** The time at which the acquisition started, in ms since the epoch. */
  startedAt: number;
  /** At the end: the number of token requests. Absent if the manager was closed first. */
  attempts?: number;
  /** At the end: the duration in seconds, including retries and the wait for the credential. */
  durationSeconds?: number;
  /** At the end: `acquired`, or the error code. */
  outcome?: 'acquired' | KeycloakTokenErrorCode;
  /** At the end of a failed acquisition: the error, without the `cause` that your code threw. */
  error?: KeycloakTokenError;
}

/**
 * A message on the channel `keycloak-token-manager:invalidation`.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { KeycloakTokenInvalidationMessage } from 'keycloak-token-manager';
 *
 * subscribe('keycloak-token-manager:invalidation', (message) => {
 *   const { reason, outcome } = message as KeycloakTokenInvalidationMessage;
 *   console.log(reason, outcome);
 * });
 * ```
 */
export interface KeycloakTokenInvalidationMessage extends KeycloakTokenMessage {
  /** `rejected`: an API rejected a token. `cleared`: a caller called `clearCache`. */
  reason: 'rejected' | 'cleared';
  /**
   * - `dropped`: the manager dropped its token.
   * - `kept`: the manager kept its token, because of a cool-down or too many invalidations.
   * - `ignored`: the rejected token is not the cached token.
   * - `detached`: no token was cached, and the manager will not cache the token that the request in
   *   progress returns.
   */
  outcome: 'dropped' | 'kept' | 'ignored' | 'detached';
}

/**
 * A message of the channel `keycloak-token-manager:cooldown`.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { KeycloakTokenCoolDownMessage } from 'keycloak-token-manager';
 *
 * subscribe('keycloak-token-manager:cooldown', (message) => {
 *   const { manager, state, seconds } = message as KeycloakTokenCoolDownMessage;
 *   console.log(manager, state, seconds ?? 0);
 * });
 * ```
 */
export interface KeycloakTokenCoolDownMessage extends KeycloakTokenMessage {
  /** `started`: an acquisition failed. `ended`: the first acquisition after failures succeeded. */
  state: 'started' | 'ended';
  /** At the start: the error code. */
  code?: KeycloakTokenErrorCode;
  /** At the start: the time in seconds during which the manager sends no token request. */
  seconds?: number;
  /** At the start: the number of consecutive failures. */
  failures?: number;
}

/**
 * A message of the channel `keycloak-token-manager:store`.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { KeycloakTokenStoreMessage } from 'keycloak-token-manager';
 *
 * subscribe('keycloak-token-manager:store', (message) => {
 *   const { operation, outcome, durationSeconds } = message as KeycloakTokenStoreMessage;
 *   console.log(`${operation}: ${outcome} after ${durationSeconds} s`);
 * });
 * ```
 */
export interface KeycloakTokenStoreMessage extends KeycloakTokenMessage {
  /** The method of the option `store`. */
  operation: 'get' | 'set' | 'delete' | 'remake';
  /**
   * `done`: the method succeeded. `miss`: `get` found no entry. `failed`: the method threw an
   * error, its promise rejected, or `get` returned a value that is neither a string nor `undefined`
   * or `null`.
   */
  outcome: 'done' | 'miss' | 'failed';
  /** The time in seconds until the method's promise settled. */
  durationSeconds: number;
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
  /** The options are invalid. Not retryable. */
  | 'ERR_KEYCLOAK_CONFIG'
  /** An argument of a call is invalid, or `fetch` must not send the request. Not retryable. */
  | 'ERR_KEYCLOAK_REQUEST'
  /** The manager cannot read or use a secret, key, certificate or assertion. Not retryable. */
  | 'ERR_KEYCLOAK_CREDENTIAL'
  /**
   * The server refused the request with an OAuth error; see `oauthError`. Retryable for
   * `temporarily_unavailable`, `server_error`, and a token exchange that the manager did not send.
   * See {@link KeycloakTokenManager.onBehalfOf} for the limit on refused exchanges.
   */
  | 'ERR_KEYCLOAK_OAUTH'
  /**
   * The server responded with an HTTP error that is not an OAuth error. Retryable for 408, 429,
   * 5xx, and a 403 or 404 from a gateway. A 403 or 404 counts as coming from a gateway if its body
   * is not JSON and the server has granted a token before.
   */
  | 'ERR_KEYCLOAK_HTTP'
  /** The token response or the discovery document is not usable. Not retryable. */
  | 'ERR_KEYCLOAK_PROTOCOL'
  /** DNS failed, or the connection was refused, reset or cut short. Retryable. */
  | 'ERR_KEYCLOAK_NETWORK'
  /** Certificate verification or the TLS handshake failed. Not retryable. */
  | 'ERR_KEYCLOAK_TLS'
  /** The acquisition took longer than `requestTimeoutMs`. Retryable. */
  | 'ERR_KEYCLOAK_TIMEOUT'
  /** The manager was closed. Not retryable. */
  | 'ERR_KEYCLOAK_CLOSED'
  /** A bug in this package. Not retryable. */
  | 'ERR_KEYCLOAK_INTERNAL';

/**
 * The only error class of this package. An error never shows a secret, a token or an assertion.
 *
 * `cause` is the error that led to this one, if any, for example an error that a secret function
 * threw.
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
  /** The kind of error; see {@link KeycloakTokenErrorCode}. */
  readonly code: KeycloakTokenErrorCode;
  /** Whether the same call may succeed later without a change on your side. */
  readonly retryable: boolean;
  /** The HTTP status of the response. */
  readonly status?: number;
  /**
   * The member `error` of the response's JSON body (RFC 6749 §5.2); `[redacted]` if the value looks
   * like a secret.
   */
  readonly oauthError?: string;
  /**
   * The member `error_description` of the response's JSON body; `[redacted]` if the value looks
   * like a secret.
   */
  readonly oauthErrorDescription?: string;
  /**
   * The time to wait before the next call, in ms from the moment at which this call failed: the
   * rest of the cool-down, or longer if the server's `Retry-After` is longer.
   */
  readonly retryAfterMs?: number;
  /** The number of token requests that the failed acquisition sent. */
  readonly attempts?: number;
  /** The URL of the token endpoint, if it is known. */
  readonly tokenEndpoint?: string;
  /** The option `clientId`. */
  readonly clientId?: string;
}

/**
 * A manager provides access tokens for a service account (OAuth 2.0 client credentials grant, RFC
 * 6749 §4.4). The manager caches the token, sends one token request no matter how many callers
 * wait, and refreshes the token in the background.
 *
 * A manager belongs to the thread that created it. Managers that you create separately share tokens
 * only through the option `store`. A manager keeps the process alive only while a caller waits.
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
   * Checks the options. Sends no request and starts no thread.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names every invalid option.
   */
  constructor(options: KeycloakTokenManagerOptions);
  /**
   * Returns an access token that is valid now. While a valid token is cached, the call costs about
   * as much as awaiting a resolved promise.
   *
   * After a transient failure, the manager repeats the request up to twice. While callers wait and
   * no token is cached, it keeps repeating the request until half of `requestTimeoutMs` has passed.
   * An acquisition that follows a failed one makes only one attempt.
   *
   * After a failed acquisition, calls without a valid cached token reject immediately with the same
   * error until a cool-down is over. The cool-down doubles with each further failure. It starts at
   * 1 s and grows to at most 30 s after `ERR_KEYCLOAK_OAUTH`, `ERR_KEYCLOAK_CREDENTIAL` and
   * `ERR_KEYCLOAK_TLS`. After other errors, it starts at 0.5 s and grows to at most 5 s. The
   * manager lengthens each cool-down by a random amount of up to 25 %. A longer `Retry-After`
   * extends the cool-down, to at most 30 s. The error's `retryAfterMs` is the time to wait.
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
   * Does the same as {@link getToken}, but returns the token with its metadata.
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
   * @param minLifetimeMs The minimum remaining validity of the token, in ms, a number ≥ 0.
   * @returns A promise of the token. It rejects as the promise of {@link getToken} does, and with
   *   `ERR_KEYCLOAK_REQUEST` if `minLifetimeMs` is invalid.
   * @example
   * ```ts
   * const token = await manager.getTokenForStreaming(120_000);
   * console.log(token.length);
   * ```
   */
  getTokenForStreaming(minLifetimeMs: number): Promise<string>;
  /**
   * Drops the cached token if it is the token that a resource server rejected. Returns whether the
   * manager dropped the token. The manager keeps the token during a cool-down, if the last drop was
   * too recent, or if the budget of drops is used up. After a drop for a route, it keeps the
   * replacement for at least 1 s if the same route rejects it. This time doubles with each further
   * drop for that route, to a maximum of 60 s. All routes share a budget of eight drops, which
   * refills by one drop per minute. Three of the eight drops are reserved for routes that have not
   * rejected a replacement. Without an argument, the method does the same as {@link clearCache} and
   * returns whether the manager dropped a token.
   *
   * @param rejected The token that the resource server rejected.
   * @param route A label for the part of the API that rejected the token, for example the URL
   *   without the query. Default: one label for all calls without a route.
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
   * Drops the cached token. A request in progress still serves the callers that wait for it, but
   * the manager does not cache the resulting token. Of the calls within ten seconds, the first
   * three take effect. A further call takes effect only if the manager adopted the last replacement
   * at least 1 s earlier. This minimum doubles with each further call that takes effect, to a
   * maximum of 60 s. After ten seconds without a call, the limit resets.
   *
   * @example
   * ```ts
   * manager.clearCache();
   * await manager.getToken(); // sends a token request
   * ```
   */
  clearCache(): void;
  /**
   * Calls the platform's `fetch` with the access token, but only for URLs at the origin of
   * `resource.baseUrl`. `fetch` replaces the caller's `Authorization` header. The function works
   * without `this`, so you can pass it to other libraries.
   *
   * - After a 401, `fetch` drops the token as {@link invalidateToken} does and sends the request
   *   once more with a new token, whatever the HTTP method. `fetch` returns the 401 in these cases:
   *   the API also rejects the new token; `WWW-Authenticate` requires a remedy other than a new
   *   token; `fetch` cannot send the body again; or the manager keeps the token, with the exception
   *   in the next point. `fetch` cannot send a stream (`init.body`) again. It can send the body of
   *   a `Request` again if the body has at most 1 MiB and has ended when the 401 arrives.
   * - If the manager keeps the token, but the same route accepted this token within the last
   *   minute, `fetch` sends the request once more with the same token. Perhaps only one of the
   *   API's replicas rejected the token.
   * - A redirect to a login page at another origin counts as a 401, but `fetch` sends only a GET or
   *   HEAD request once more. For any other method, and wherever `fetch` would return a 401, the
   *   call rejects with `ERR_KEYCLOAK_REQUEST`.
   * - With the option `dpop`, every request carries a DPoP proof. If a 401 demands a nonce
   *   (`use_dpop_nonce`) and `fetch` can send the body again, `fetch` sends the request once more
   *   with the nonce. Such a 401 does not reject the token, and `fetch` may still repeat the
   *   request after another 401.
   * - `fetch` follows at most 20 redirects within the origin, and sends the token and the user with
   *   each request. The response's `redirected` is nevertheless false; its `url` is the last URL.
   *   The platform checks `integrity` against the first response, so a call with `integrity` fails
   *   if the API redirects it or if `fetch` sends it again.
   * - {@link close} does not abort a request that `fetch` has already sent.
   *
   * @returns A promise of the response. It rejects with `ERR_KEYCLOAK_REQUEST` if the URL or a
   *   redirect leads to another origin; `fetch` sends no request there. It rejects with
   *   `ERR_KEYCLOAK_CONFIG` if `resource` is not set, and with the error of {@link getToken} if
   *   that call fails; `fetch` then sends no further request. It also rejects with the reason of
   *   `signal`, and with the errors of the platform's `fetch`.
   * @example
   * ```ts
   * const response = await manager.fetch('agents', {
   *   backstageUser: 'user:default/jane',
   *   signal: AbortSignal.timeout(30_000),
   * });
   * if (!response.ok) throw new Error(`the API responded with status ${response.status}`);
   * console.log(await response.text());
   * ```
   */
  readonly fetch: (
    input: string | URL | Request,
    init?: AuthenticatedRequestInit,
  ) => Promise<Response>;
  /**
   * Returns the headers that authenticate a request that you send yourself, for example with a
   * WebSocket, gRPC or EventSource client: `Authorization`; `X-Backstage-User` (or
   * `resource.userHeader`) if you set `backstageUser`; and `DPoP` with the option `dpop`. A DPoP
   * proof is valid for one request and for about 20 s, so call the method before each request.
   *
   * @returns A promise of the headers. It rejects with `ERR_KEYCLOAK_REQUEST` for an invalid
   *   argument or an origin other than the origin of `resource.baseUrl`, and with the error of
   *   {@link getToken} if that call fails.
   * @example
   * ```ts
   * const url = 'wss://api.example/v1/events';
   * const headers = await manager.headers({ url, method: 'GET', backstageUser: 'user:default/jane' });
   * console.log(Object.keys(headers)); // for example new WebSocket(url, { headers }) of `ws`
   * ```
   */
  headers(options?: RequestHeadersOptions): Promise<Record<string, string>>;
  /**
   * Creates a DPoP proof (RFC 9449 §4.2) for a request that you send yourself. Send the token with
   * the scheme `DPoP`, and the proof in the header `DPoP`. A server accepts a proof only once, so
   * create one for each request. {@link fetch} and {@link headers} do this for you. The method is
   * synchronous, because it waits for nothing: signing with a P-256 key takes less than 0.1 ms.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` without the option `dpop`,
   *   `ERR_KEYCLOAK_REQUEST` for an invalid argument or a bearer token, `ERR_KEYCLOAK_CLOSED` after
   *   {@link close}.
   * @example
   * ```ts
   * const url = 'https://api.example/v1/agents';
   * const token = await manager.getToken();
   * const proof = manager.dpopProof({ method: 'GET', url, token });
   * await fetch(url, { headers: { authorization: `DPoP ${token}`, dpop: proof } });
   * ```
   */
  dpopProof(options: DpopProofOptions): string;
  /**
   * Returns a manager that calls another API with this manager's token: for a second origin, or for
   * a base URL that changes at run time. Both managers share the cache and the token requests in
   * flight. You can call the method for each request: it is cheap, and this manager remembers which
   * routes accept and reject its tokens.
   *
   * The origin of `resource.baseUrl` receives the token. Take the URL from your configuration,
   * never from a request or a response. The method refuses plain http except on loopback.
   *
   * @param resource The API, in the same form as the option `resource`.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names every invalid property.
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
  withResource(resource: ResourceOptions): DerivedTokenManager;
  /**
   * Returns a manager that requests different tokens for this client: with its own scopes,
   * audiences, form fields or grant. For equal requests, the method returns the same manager as
   * long as your program refers to it, so you can call the method for each request. It compares
   * scopes and audiences as sets. The 256 most recently used managers stay even if your program no
   * longer refers to them.
   *
   * The managers share the client, so an unreachable server or a wrong secret affects all of them:
   * one manager's request finds out whether the server has recovered, and the other managers wait
   * for its result. A refused scope affects only the manager that requested it.
   *
   * @param request The request. An absent property takes its value from this manager.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` for an invalid property, and
   *   `ERR_KEYCLOAK_CONFIG` for an invalid `resource`.
   * @example
   * ```ts
   * const reports = manager.for({
   *   scope: 'reports:read',
   *   resource: { baseUrl: 'https://api.example/reports' },
   * });
   * const response = await reports.fetch('latest');
   * console.log(response.status, await response.text());
   * ```
   */
  for(request?: DerivedRequest): DerivedTokenManager;
  /**
   * Returns the manager for a user. This manager exchanges the user's access token for a token that
   * the server issues to this client for the same user (token exchange, RFC 8693). A manager and
   * its derived managers together keep at most `maxUserTokens` user tokens, keyed by a hash of the
   * user's token and by the request. Only a call starts the refresh of such a token, never a timer.
   *
   * The manager hands out an exchanged token only until the user's token expires (`exp`). If the
   * user's token has no readable `exp`, the limit is 60 s. If `exp` has already passed according to
   * the local clock, the limit is 10 s. If the server refuses the user's token, calls reject with
   * `ERR_KEYCLOAK_OAUTH`, and a cool-down applies to this user alone. It starts at 1 s and doubles
   * each time, to a maximum of 30 s. After ten refused exchanges within a second, further exchanges
   * reject immediately with a retryable `ERR_KEYCLOAK_OAUTH`.
   *
   * @param subjectToken The access token of the user: 1 to 20,000 characters, without `Bearer `.
   * @param request The request. An absent property takes its value from this manager.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if the token is missing or invalid, or for
   *   an invalid property; `ERR_KEYCLOAK_CONFIG` for an invalid `resource`.
   * @example
   * ```ts
   * export async function listAgents(userToken: string) {
   *   const response = await manager.onBehalfOf(userToken, { audience: 'agents' }).fetch('agents');
   *   return response.json();
   * }
   * ```
   */
  onBehalfOf(subjectToken: string, request?: ExchangeRequest): DerivedTokenManager;
  /**
   * Drops all tokens that the manager obtained for this user's token, for example when the user
   * signs out.
   *
   * @param subjectToken The access token of the user.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if the token is missing or invalid.
   * @example
   * ```ts
   * export function signOut(userToken: string) {
   *   manager.forgetSubject(userToken);
   * }
   * ```
   */
  forgetSubject(subjectToken: string): void;
  /**
   * Returns the state of the manager, for health checks and metrics. Sends no request.
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
   * secrets in native memory. The derived managers close too. You cannot reopen a closed manager.
   * Idempotent.
   *
   * @returns A promise that resolves when the manager has closed. It rejects with
   *   `ERR_KEYCLOAK_REQUEST` if an option is unknown or invalid.
   *
   * @example
   * ```ts
   * process.once('SIGTERM', () => manager.close());
   * ```
   */
  close(options?: CloseOptions): Promise<void>;
  /** Does the same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
