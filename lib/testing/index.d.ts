/// <reference types="node" />

/**
 * Options of {@link startFakeTokenEndpoint}. `undefined` counts as absent; an unknown option is
 * refused.
 */
export interface FakeTokenEndpointOptions {
  /** Name of the realm in the paths: letters, digits, `.`, `_`, `-`. Default `test`. */
  realm?: string;
  /**
   * The clients that there are: secrets by client id, both non-empty.
   * Default `{ 'test-client': 'test-secret' }`.
   */
  clients?: Readonly<Record<string, string>>;
  /**
   * Life of the tokens in seconds, a finite number. Default 300. It may be zero, negative or a
   * fraction, to see what a client makes of that.
   */
  expiresIn?: number;
  /** How long after the request an answer is sent, in ms, a number ≥ 0. Default 0. */
  delayMs?: number;
  /** `realm_access.roles` of the tokens. Default: the roles that Keycloak gives to everybody. */
  roles?: readonly string[];
  /** Speak https with this certificate (PEM). Default: plain http. */
  tls?: { key: string | Buffer; cert: string | Buffer };
  /**
   * Make tokens about this long, in bytes, by a claim `padding`. Integer from 0 to 10,000,000.
   * Default 0: as long as they come, about 1,250 bytes.
   */
  tokenSize?: number;
}

/**
 * How a client proved itself, or tried to. A secret sent in both ways counts as posted, as in
 * Keycloak.
 */
export type FakeTokenRequestAuthentication =
  | 'client_secret_post'
  | 'client_secret_basic'
  | 'client_assertion'
  | 'none';

/** One token request, as it stands in {@link FakeTokenEndpoint.requests}. It holds no credential. */
export interface FakeTokenRequest {
  /** When the whole request had arrived, in ms since the epoch. */
  readonly at: number;
  /** The client id, from the form or the `Authorization` header. `undefined` if there was none. */
  readonly clientId: string | undefined;
  readonly authentication: FakeTokenRequestAuthentication;
  /** `undefined` if the form has none. */
  readonly grantType: string | undefined;
  /** `undefined` if the form has none. */
  readonly scope: string | undefined;
  /**
   * The fields of the form, without `client_secret` and `client_assertion`. Of a field that came
   * twice, the first.
   */
  readonly parameters: Readonly<Record<string, string>>;
  /** The headers, names in lower case, without `authorization`. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The connection that it came over; the first one is 1. */
  readonly connection: number;
  /** The status answered. `undefined` until then, and for ever where a fault leaves no status. */
  readonly status: number | undefined;
}

/**
 * What goes wrong with an answer.
 *
 * - `reset`: the connection is reset (TCP RST) before a byte was sent.
 * - `close`: the connection is closed (TCP FIN) before a byte was sent.
 * - `hang`: nothing is ever sent; the connection stays open.
 * - `truncate`: half of the body, then the connection is closed.
 * - `drip`: one byte of the body every `dripMs`.
 * - `flood`: a body without end, until the client closes the connection, 400 MB at most.
 * - `redirect`: a 307 to `headers.location`; by default to the token endpoint itself, so that a
 *   client which follows it is seen in the log.
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
 * A scripted answer. With neither `status` nor `body` it is Keycloak's own answer to the request (a
 * token, or a refusal), changed by the other members: `{ delayMs: 500 }` is a slow token,
 * `{ fault: 'truncate' }` half of one.
 */
export interface FakeTokenAnswer {
  /** Integer from 200 to 599. Default: Keycloak's own status, or 200 if there is a `body`. */
  status?: number;
  /** Added to the answer's own headers, or in place of those with the same name. */
  headers?: Readonly<Record<string, string>>;
  /**
   * An object is sent as JSON; a string or a `Buffer` as it is, without a `Content-Type`.
   * Default: Keycloak's own body, or an empty one if there is a `status`.
   */
  body?: object | string | Buffer;
  /** In place of the endpoint's delay, in ms, a number ≥ 0. */
  delayMs?: number;
  /** In place of the endpoint's `expiresIn`, in seconds, a finite number. */
  expiresIn?: number;
  /** What goes wrong. Default: nothing. */
  fault?: FakeTokenFault;
  /** Time between two bytes of the fault `drip`, in ms, a number ≥ 1. Default 100. */
  dripMs?: number;
}

/**
 * An answer, or what makes one when a request has arrived. `undefined` stands for Keycloak's own. A
 * function that throws, or gives something else, is answered for with a 500, and
 * {@link FakeTokenEndpoint.close} rejects with the reason.
 */
export type FakeTokenAnswerSource =
  | FakeTokenAnswer
  | ((
      request: FakeTokenRequest,
    ) => FakeTokenAnswer | undefined | Promise<FakeTokenAnswer | undefined>);

/** A running endpoint. What its methods refuse, they refuse with a `TypeError` that names it. */
export interface FakeTokenEndpoint extends AsyncDisposable {
  /** The origin, such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** `{issuer}/protocol/openid-connect/token`: what a manager is given. */
  readonly tokenEndpoint: string;
  /** `{url}/realms/{realm}`, also the tokens' `iss`. The discovery document is below it. */
  readonly issuer: string;
  /** `{issuer}/protocol/openid-connect/certs`: the public key that the tokens verify against. */
  readonly jwksUri: string;

  /** The token requests so far, or since {@link clearRequests}, in the order of their arrival. */
  readonly requests: readonly FakeTokenRequest[];
  /** `requests.length`. */
  readonly requestCount: number;
  /** Connections accepted since the start, also those whose TLS handshake failed. */
  readonly connectionCount: number;
  /** Empties {@link requests}. */
  clearRequests(): void;
  /**
   * Fulfils with the first `count` of {@link requests} as soon as there are that many; a request
   * counts when it has arrived, answered or not. Rejects if the endpoint is closed before.
   *
   * @param count Integer ≥ 1.
   */
  waitForRequests(count: number): Promise<FakeTokenRequest[]>;

  /** From now on answers are sent `ms` after their request, a number ≥ 0. */
  setDelay(ms: number): void;
  /** From now on tokens live that many seconds, a finite number. */
  setExpiresIn(seconds: number): void;
  /** Gives a client a new secret, or adds a client. Both non-empty. */
  setSecret(clientId: string, secret: string): void;
  /** How all further token requests are answered, once those of {@link answerNext} are used up. */
  setAnswer(answer: FakeTokenAnswerSource): void;
  /** How the next token requests are answered, one each and in order, after those lined up before. */
  answerNext(...answers: FakeTokenAnswerSource[]): void;
  /**
   * Answers, delay, lifetime and secrets are again what they were at the start. The log stays, and
   * so does a pause or being offline.
   */
  restore(): void;

  /** From now on requests are accepted and logged, and answered only after {@link resume}. */
  pause(): void;
  /** Sends the answers held back by {@link pause}. */
  resume(): void;
  /**
   * Closes the port and all connections. Until {@link goOnline}, connecting is refused. Do both one
   * after the other, awaited.
   */
  goOffline(): Promise<void>;
  /** Listens again, on the same port. */
  goOnline(): Promise<void>;

  /**
   * A signed access token as the endpoint gives to the first of its clients, without a request.
   *
   * @param claims Added to the token's own claims, or in place of those with the same name; one
   *   that is `undefined` is left out.
   */
  issueToken(claims?: Readonly<Record<string, unknown>>): string;

  /**
   * Stops the endpoint and breaks its connections; nothing of it keeps the process alive
   * afterwards. Idempotent. Rejects if a function given to {@link setAnswer} or {@link answerNext}
   * had failed.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a token endpoint for tests on a free port of 127.0.0.1. It answers client-credentials
 * requests as Keycloak 26 does, refusals included, with real tokens signed with RS256, and can be
 * told to do anything else. Requests of `KeycloakTokenManager` are native, so tools that replace
 * `fetch` or `node:http` do not see them.
 *
 * The secret may come in either way (`client_secret_post`, `client_secret_basic`). Any scope is
 * granted and named in the answer. A client assertion is not verified: it is no proof here.
 *
 * @throws {TypeError} (rejects) naming the option that is wrong.
 */
export function startFakeTokenEndpoint(
  options?: FakeTokenEndpointOptions,
): Promise<FakeTokenEndpoint>;
