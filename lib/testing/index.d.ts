/// <reference types="node" />

/**
 * Options of {@link startFakeTokenEndpoint}. `undefined` counts as absent. `startFakeTokenEndpoint`
 * rejects with a `TypeError` for an unknown option.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
 * import type { FakeTokenEndpointOptions } from 'keycloak-token-manager/testing';
 *
 * const options: FakeTokenEndpointOptions = {
 *   clients: { 'my-client': 'my-secret' },
 *   expiresIn: 60,
 *   roles: ['viewer'],
 * };
 * await using endpoint = await startFakeTokenEndpoint(options);
 * console.log(endpoint.tokenEndpoint);
 * ```
 */
export interface FakeTokenEndpointOptions {
  /**
   * Name of the realm in the paths: letters, digits, `.`, `_` and `-`, and not only dots. Default:
   * `test`.
   */
  realm?: string | undefined;
  /**
   * The secrets of the realm's clients, keyed by client id. No id or secret may be empty.
   * Default: `{ 'test-client': 'test-secret' }`.
   */
  clients?: Readonly<Record<string, string>> | undefined;
  /**
   * Lifetime of the tokens in seconds, a finite number. Default: 300. The lifetime may be zero,
   * negative or a fraction, to test how a client handles such a token.
   */
  expiresIn?: number | undefined;
  /**
   * The time between a request and its answer, in ms, a number from 0 to 2,147,483,647. Default: 0.
   */
  delayMs?: number | undefined;
  /** `realm_access.roles` of the tokens. Default: the roles that Keycloak gives to every user. */
  roles?: readonly string[] | undefined;
  /** The PEM certificate and key with which the endpoint serves https. Default: plain http. */
  tls?: { key: string | Buffer; cert: string | Buffer } | undefined;
  /**
   * Approximate length of the tokens in bytes, an integer from 0 to 10,000,000. The endpoint pads
   * shorter tokens with the claim `padding`. Default: 0, for tokens of about 1,250 bytes without
   * padding.
   */
  tokenSize?: number | undefined;
  /**
   * How the endpoint treats DPoP proofs (RFC 9449). `supported`: the endpoint verifies a proof as
   * Keycloak does, and binds the token to the key. `required`: the endpoint also refuses a request
   * without a proof. `ignored`: the endpoint grants bearer tokens, as Keycloak before 26.4 does.
   * Default: `supported`.
   */
  dpop?: 'supported' | 'required' | 'ignored' | undefined;
  /**
   * The nonce that a DPoP proof must carry. The endpoint sends the nonce in the `DPoP-Nonce` header
   * of every token response. If a proof does not carry the nonce, the endpoint refuses the request
   * with the error `use_dpop_nonce`. The nonce must consist of visible ASCII characters other than
   * double quotation marks and backslashes. Default: none, as in Keycloak.
   */
  dpopNonce?: string | undefined;
}

/**
 * The method by which a client authenticated itself, or tried to. If a client sends a secret by
 * both methods, `client_secret_post` counts, as in Keycloak.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
 * import type { FakeTokenRequestAuthentication } from 'keycloak-token-manager/testing';
 *
 * await using endpoint = await startFakeTokenEndpoint();
 * await fetch(endpoint.tokenEndpoint, { method: 'POST', body: new URLSearchParams() });
 * const used: FakeTokenRequestAuthentication[] = endpoint.requests.map((r) => r.authentication);
 * console.log(used); // [ 'none' ]
 * ```
 */
export type FakeTokenRequestAuthentication =
  | 'client_secret_post'
  | 'client_secret_basic'
  | 'client_assertion'
  | 'none';

/**
 * The DPoP proof of a token request, decoded but not verified. The answer to the request shows
 * whether the endpoint accepted the proof.
 *
 * @example
 * ```ts
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { startFakeTokenEndpoint, type FakeDpopProof } from 'keycloak-token-manager/testing';
 *
 * await using endpoint = await startFakeTokenEndpoint({ dpop: 'required' });
 * await using tokens = new KeycloakTokenManager({
 *   tokenEndpoint: endpoint.tokenEndpoint,
 *   clientId: 'test-client',
 *   clientSecret: 'test-secret',
 *   dpop: true,
 * });
 * await tokens.getToken();
 * const proof: FakeDpopProof | undefined = endpoint.requests[0]?.dpop;
 * console.log(proof?.alg, proof?.claims.htm); // ES256 POST
 * ```
 */
export interface FakeDpopProof {
  /** The header `alg` of the proof. */
  readonly alg: string | undefined;
  /** The thumbprint of the key in the proof (RFC 7638); `undefined` without a usable key. */
  readonly thumbprint: string | undefined;
  /** The claims: `htm`, `htu`, `iat`, `jti` and, if the client has received a nonce, `nonce`. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * One token request in {@link FakeTokenEndpoint.requests}. The record contains no credential.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
 * import type { FakeTokenRequest } from 'keycloak-token-manager/testing';
 *
 * await using endpoint = await startFakeTokenEndpoint();
 * const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'read' });
 * await fetch(endpoint.tokenEndpoint, { method: 'POST', body });
 * const [request] = endpoint.requests as [FakeTokenRequest];
 * console.log(request.status, request.scope, request.parameters); // 401 read { grant_type: … }
 * ```
 */
export interface FakeTokenRequest {
  /** The time at which the request had arrived completely, in ms since the epoch. */
  readonly at: number;
  /** The client id from the form or the `Authorization` header; `undefined` if neither has one. */
  readonly clientId: string | undefined;
  /** The method by which the client authenticated itself, or tried to. */
  readonly authentication: FakeTokenRequestAuthentication;
  /** The form field `grant_type`; `undefined` if the form has none. */
  readonly grantType: string | undefined;
  /** The form field `scope`; `undefined` if the form has none. */
  readonly scope: string | undefined;
  /**
   * The fields of the form without `client_secret`, `client_assertion`, `subject_token` and
   * `assertion`. If the form contains a field more than once, the first value counts.
   */
  readonly parameters: Readonly<Record<string, string>>;
  /** The headers except `authorization`, with names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The DPoP proof; `undefined` if the request has no proof, or the proof is not a JWT. */
  readonly dpop: FakeDpopProof | undefined;
  /** The number of the connection that carried the request, counted from 1. */
  readonly connection: number;
  /**
   * The status of the answer; `undefined` before the endpoint has answered, and if a fault
   * suppresses the status.
   */
  readonly status: number | undefined;
}

/**
 * A fault in an answer.
 *
 * - `reset`: the endpoint resets the connection (TCP RST) before it sends a byte.
 * - `close`: the endpoint closes the connection (TCP FIN) before it sends a byte.
 * - `hang`: the endpoint never sends a byte and keeps the connection open.
 * - `truncate`: the endpoint sends half of the body, then closes the connection.
 * - `drip`: the endpoint sends one byte of the body every `dripMs`.
 * - `flood`: the endpoint sends up to 400 MB of body data, until the client closes the connection.
 * - `redirect`: the endpoint answers with a redirect (status 307) to `headers.location`, by default
 *   to the token endpoint itself, so that the log shows whether a client follows the redirect.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint, type FakeTokenFault } from 'keycloak-token-manager/testing';
 *
 * const faults: FakeTokenFault[] = ['reset', 'close', 'truncate'];
 * await using endpoint = await startFakeTokenEndpoint();
 * endpoint.answerNext(...faults.map((fault) => ({ fault })));
 * ```
 */
export type FakeTokenFault =
  | 'reset'
  | 'close'
  | 'hang'
  | 'truncate'
  | 'drip'
  | 'flood'
  | 'redirect';

/**
 * A scripted answer. Without `status` and `body`, the endpoint sends the answer that Keycloak would
 * give (a token or a refusal), with the changes that the other members describe: `{ delayMs: 500 }`
 * delays this answer, and `{ fault: 'truncate' }` cuts its body in half.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint, type FakeTokenAnswer } from 'keycloak-token-manager/testing';
 *
 * const busy: FakeTokenAnswer = { status: 503, headers: { 'retry-after': '1' } };
 * await using endpoint = await startFakeTokenEndpoint();
 * endpoint.answerNext(busy, { delayMs: 50, expiresIn: 5 });
 * ```
 */
export interface FakeTokenAnswer {
  /**
   * The HTTP status, an integer from 200 to 599. Default: Keycloak's own status, or 200 if `body`
   * is set.
   */
  status?: number | undefined;
  /**
   * Headers to add to the answer's own headers. An added header replaces a header with the same
   * name.
   */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * The body. The endpoint sends an object as JSON, and a string or a `Buffer` unchanged and
   * without a `Content-Type`. Default: Keycloak's own body, or an empty body if `status` is set.
   */
  body?: object | string | Buffer | undefined;
  /**
   * The delay of this answer, in ms, a number from 0 to 2,147,483,647. Default: the endpoint's
   * delay.
   */
  delayMs?: number | undefined;
  /** The token's lifetime in seconds, a finite number. Default: the endpoint's `expiresIn`. */
  expiresIn?: number | undefined;
  /** The fault in the answer. Default: none. */
  fault?: FakeTokenFault | undefined;
  /**
   * Time in ms between two bytes of the body if `fault` is `drip`: a number from 1 to
   * 2,147,483,647. Default: 100.
   */
  dripMs?: number | undefined;
}

/**
 * An answer, or a function that receives a request and returns its answer. `undefined` means
 * Keycloak's own answer. If the function throws or returns an invalid answer, the endpoint answers
 * with a 500, and {@link FakeTokenEndpoint.close} rejects with the reason.
 *
 * @example
 * ```ts
 * import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
 * import type { FakeTokenAnswerSource } from 'keycloak-token-manager/testing';
 *
 * const refuseScopes: FakeTokenAnswerSource = ({ scope }) =>
 *   scope === undefined ? undefined : { status: 400, body: { error: 'invalid_scope' } };
 * await using endpoint = await startFakeTokenEndpoint();
 * endpoint.setAnswer(refuseScopes);
 * ```
 */
export type FakeTokenAnswerSource =
  | FakeTokenAnswer
  | ((
      request: FakeTokenRequest,
    ) => FakeTokenAnswer | undefined | Promise<FakeTokenAnswer | undefined>);

/**
 * A running endpoint. The methods refuse an invalid argument with a `TypeError`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { startFakeTokenEndpoint, type FakeTokenEndpoint } from 'keycloak-token-manager/testing';
 *
 * const endpoint: FakeTokenEndpoint = await startFakeTokenEndpoint();
 * const client = { clientId: 'test-client', clientSecret: 'test-secret' };
 * const tokens = new KeycloakTokenManager({ ...client, tokenEndpoint: endpoint.tokenEndpoint });
 * endpoint.answerNext({ status: 503 });
 * await Promise.all([tokens.getToken(), tokens.getToken(), tokens.getToken()]);
 * assert.equal(endpoint.requestCount, 2); // the 503, and the retry for all three callers
 * await tokens.close();
 * await endpoint.close();
 * ```
 */
export interface FakeTokenEndpoint extends AsyncDisposable {
  /** The origin, such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** `{issuer}/protocol/openid-connect/token`, for the option `tokenEndpoint` of a manager. */
  readonly tokenEndpoint: string;
  /** `{url}/realms/{realm}`: the `iss` of the tokens, and the base of the discovery document. */
  readonly issuer: string;
  /** `{issuer}/protocol/openid-connect/certs`: the public key that verifies the tokens. */
  readonly jwksUri: string;
  /** `{issuer}/protocol/openid-connect/revoke`: revokes the endpoint's tokens (RFC 7009). */
  readonly revocationEndpoint: string;

  /** The token requests since the start or {@link clearRequests}, in the order of their arrival. */
  readonly requests: readonly FakeTokenRequest[];
  /** The length of {@link requests}. */
  readonly requestCount: number;
  /** The number of connections since the start, including failed TLS handshakes. */
  readonly connectionCount: number;
  /** The tokens that clients have revoked. The endpoint refuses to exchange these tokens. */
  readonly revokedTokens: readonly string[];
  /** Empties {@link requests}. */
  clearRequests(): void;
  /**
   * Resolves with the first `count` of {@link requests} as soon as these requests have arrived,
   * even if the endpoint has not answered them yet. Rejects if you close the endpoint first.
   *
   * @param count An integer ≥ 1.
   */
  waitForRequests(count: number): Promise<FakeTokenRequest[]>;

  /**
   * From now on, sends each answer `ms` milliseconds (a number from 0 to 2,147,483,647) after its
   * request.
   */
  setDelay(ms: number): void;
  /** From now on, grants tokens with a lifetime of `seconds` (a finite number). */
  setExpiresIn(seconds: number): void;
  /** Changes the secret of a client, or adds a client. Both arguments must be non-empty. */
  setSecret(clientId: string, secret: string): void;
  /**
   * From now on, requires this nonce in DPoP proofs; `undefined` requires none. See
   * {@link FakeTokenEndpointOptions.dpopNonce}.
   */
  setDpopNonce(nonce: string | undefined): void;
  /** Sends this answer to all token requests for which {@link answerNext} has queued no answer. */
  setAnswer(answer: FakeTokenAnswerSource): void;
  /** Sends these answers to the next token requests, one each, after the answers already queued. */
  answerNext(...answers: FakeTokenAnswerSource[]): void;
  /**
   * Resets answers, delay, lifetime, nonce and secrets to their initial values. Keeps the log, the
   * revoked tokens, a pause, and the offline state.
   */
  restore(): void;

  /** From now on, accepts and logs token requests, but answers them only after {@link resume}. */
  pause(): void;
  /** Sends the answers that {@link pause} held back. */
  resume(): void;
  /**
   * Closes the port and all connections. The port refuses connections until {@link goOnline}. Await
   * each of the two methods before you call the other one.
   */
  goOffline(): Promise<void>;
  /** Listens again, on the same port. Rejects if you have closed the endpoint. */
  goOnline(): Promise<void>;

  /**
   * Returns a signed access token without a token request. The token is like the tokens that the
   * first client receives. A client can exchange a token that this endpoint issued (RFC 8693) if
   * the token's `azp` or `aud` names the client. To issue a token for a user, call
   * `issueToken({ sub, preferred_username, azp, aud })`.
   *
   * @param claims Claims to add to the token's own claims. An added claim replaces a claim with the
   *   same name. The token omits a claim that is `undefined`.
   */
  issueToken(claims?: Readonly<Record<string, unknown>>): string;

  /**
   * Stops the endpoint and closes its connections immediately. Afterwards, the endpoint does not
   * keep the process alive. Idempotent. Rejects if a function that you passed to {@link setAnswer}
   * or {@link answerNext} threw an error or returned an invalid answer.
   */
  close(): Promise<void>;
  /** Does the same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a token endpoint for tests on a free port of 127.0.0.1. The endpoint answers client
 * credentials and token exchange requests as Keycloak 26 does, including Keycloak's refusals. You
 * can script any other answer. The endpoint signs its tokens with RS256. By default, native code
 * sends the token requests of a `KeycloakTokenManager`, so tools that replace `fetch` or
 * `node:http` do not see these requests (see the option `tokenFetch`).
 *
 * The endpoint accepts the secret by both methods (`client_secret_post`, `client_secret_basic`),
 * grants any scope, and returns the scope in the answer. The endpoint does not verify client
 * assertions, so it refuses a client that sends only an assertion.
 *
 * @returns A promise of the endpoint. The promise rejects with a `TypeError` if an option is
 *   invalid.
 * @example
 * ```ts
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
 *
 * await using endpoint = await startFakeTokenEndpoint({ clients: { me: 'secret' } });
 * await using tokens = new KeycloakTokenManager({
 *   tokenEndpoint: endpoint.tokenEndpoint,
 *   clientId: 'me',
 *   clientSecret: 'secret',
 * });
 * console.log(await tokens.getToken());
 * ```
 */
export function startFakeTokenEndpoint(
  options?: FakeTokenEndpointOptions,
): Promise<FakeTokenEndpoint>;
