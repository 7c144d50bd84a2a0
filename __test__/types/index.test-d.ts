// Compiled, never run: the file uses every public member once as a user of the package would, and
// the compiler must refuse every `@ts-expect-error` row. `api.md` records the declarations
// themselves.

import type {
  AuthenticatedRequestInit,
  DerivedTokenManager,
  GetTokenOptions,
  KeycloakTokenErrorCode,
  KeycloakTokenManagerLogger,
  KeycloakTokenManagerOptions,
  ResourceOptions,
  TokenFetch,
  TokenFetchInit,
  TokenFetchResponse,
  TokenStore,
} from 'keycloak-token-manager';
import { KeycloakTokenError, KeycloakTokenManager } from 'keycloak-token-manager';

const logger: KeycloakTokenManagerLogger = {
  error: (message: string) => console.error(message),
  warn: console.warn,
  info() {},
  debug() {},
};

// The shape of Backstage's `LoggerService`, with more methods and more parameters.
type Log = (message: string, meta?: Error | Record<string, unknown>) => void;
declare const backstage: Record<'error' | 'warn' | 'info' | 'debug', Log> & { child(): unknown };

const smallest = {
  tokenEndpoint: 'https://keycloak.example/realms/a/protocol/openid-connect/token',
  clientId: 'client',
  clientSecret: 'secret',
} satisfies KeycloakTokenManagerOptions;
// Options of every kind. The types of all options of a kind are generated in the same way.
const store: TokenStore = {
  get: async () => null,
  set: async (key, value, ttlMs) => [key.length, value.length, ttlMs],
  delete: async () => 1,
  remake() {},
};
const everything: KeycloakTokenManagerOptions = {
  ...smallest,
  clientSecret: async () => 'secret',
  clientAuthentication: 'client_secret_basic',
  privateKey: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd', kid: 'a' },
  signingAlgorithm: 'ES256',
  clientKey: '-----BEGIN PRIVATE KEY-----',
  scope: ['a', 'b'],
  parameters: { audience: 'api' },
  tokenExpiryBufferSeconds: 60,
  requestTimeoutMs: 15_000,
  backgroundRefresh: true,
  proxy: false,
  tokenFetch: true,
  store,
  storeKey: 'a secret of at least 24 characters',
  storeUserTokens: true,
  resource: { baseUrl: 'https://api.example', userHeader: 'X-User', fetch },
  logger,
};
/** Every optional member with the value `undefined`, which spreading and `process.env` produce. */
type Absent<T> = { [K in keyof T as T extends Record<K, T[K]> ? never : K]-?: undefined };
declare const absent: Absent<KeycloakTokenManagerOptions>;
declare const absentOfCall: Absent<GetTokenOptions>;
declare const absentOfResource: Absent<ResourceOptions>;
new KeycloakTokenManager(smallest);
new KeycloakTokenManager(everything);
new KeycloakTokenManager({ ...absent, clientId: 'client' });
new KeycloakTokenManager({ ...smallest, resource: { baseUrl: 'https://a', ...absentOfResource } });
// @ts-expect-error `undefined` is not a client id
new KeycloakTokenManager({ ...smallest, clientId: undefined });
new KeycloakTokenManager({ ...smallest, clientSecret: () => 'secret' });
new KeycloakTokenManager({ ...smallest, scope: 'a b', logger: backstage });
new KeycloakTokenManager({ ...smallest, scope: ['a'] as const });

const derived: DerivedTokenManager = new KeycloakTokenManager(smallest).withResource({
  baseUrl: 'https://other.example',
});
const ofDerived: Promise<Response> = derived.withResource({ baseUrl: 'https://a' }).fetch('a');
void ofDerived;
// @ts-expect-error a derived manager has no `close`
derived.close();
// @ts-expect-error a URL alone is not a resource
derived.withResource('https://other.example');

const api: DerivedTokenManager = derived.for({ scope: ['a'] as const, audience: 'api' });
const assertion = api.for({ grant: { type: 'jwt-bearer', assertion: 'a.s.s' } });
const user: DerivedTokenManager = assertion.onBehalfOf('token', { audience: ['a', 'b'] });
user.forgetSubject('token');
void user.fetch('a', { onBehalfOf: 'token', scope: 'a', audience: undefined });
void user.headers({ url: 'a', onBehalfOf: 'token' });
void new KeycloakTokenManager(smallest).close({ revoke: true });
const counted: number | undefined = user.snapshot().derived?.counters.hits;
void counted;
// @ts-expect-error a user's token is required
derived.onBehalfOf(undefined);
// @ts-expect-error a missing user is not the service
void derived.fetch('a', { onBehalfOf: undefined });
// @ts-expect-error an unknown grant
derived.for({ grant: { type: 'password' } });
// @ts-expect-error the subject token has no type in a request without one
derived.for({ subjectTokenType: 'a' });

// @ts-expect-error options are required
new KeycloakTokenManager();
// The constructor checks which options go together.
new KeycloakTokenManager({ clientId: 'client', issuer: 'https://a.example', privateKey: 'key' });
new KeycloakTokenManager({ ...smallest, proxy: 'http://proxy.example:3128' });
// @ts-expect-error `clientId` is required
new KeycloakTokenManager({ tokenEndpoint: 'https://a.example', clientSecret: 'secret' });
// @ts-expect-error an unknown option
new KeycloakTokenManager({ ...smallest, timeout: 1 });
// @ts-expect-error a URL object is not a string
new KeycloakTokenManager({ ...smallest, tokenEndpoint: new URL('https://a.example') });
// @ts-expect-error a number is not a secret
new KeycloakTokenManager({ ...smallest, clientSecret: 1 });
// @ts-expect-error the function returns a number
new KeycloakTokenManager({ ...smallest, clientSecret: () => 1 });
// @ts-expect-error an unknown method
new KeycloakTokenManager({ ...smallest, clientAuthentication: 'none' });
// @ts-expect-error an unknown algorithm
new KeycloakTokenManager({ ...smallest, signingAlgorithm: 'RS512' });
new KeycloakTokenManager({ ...smallest, tokenFetch: fetch });
new KeycloakTokenManager({ ...smallest, tokenFetch: (url, init) => fetch(url, { ...init }) });
const double: TokenFetchResponse = { status: 200, text: async () => '{}' };
({
  status: 200,
  headers: undefined,
  redirected: undefined,
  url: undefined,
  type: undefined,
  body: undefined,
  arrayBuffer: undefined,
  text: undefined,
}) satisfies TokenFetchResponse;
new Response() satisfies TokenFetchResponse;
const doubled: TokenFetch = async (url: string, init: TokenFetchInit) => {
  const { method, headers, body, redirect, signal } = init;
  const sent: (string | undefined)[] = [url, method, headers.authorization, body];
  console.log(sent, redirect satisfies 'manual', signal.aborted);
  return double;
};
new KeycloakTokenManager({ ...smallest, tokenFetch: doubled });
// @ts-expect-error the native transport is the default
new KeycloakTokenManager({ ...smallest, tokenFetch: false });
// @ts-expect-error a response has a status
new KeycloakTokenManager({ ...smallest, tokenFetch: async () => 'token' });
// @ts-expect-error a proxy is a URL, or none
new KeycloakTokenManager({ ...smallest, proxy: true });
// @ts-expect-error a numeric string
new KeycloakTokenManager({ ...smallest, tokenExpiryBufferSeconds: '60' });
// @ts-expect-error a numeric string
new KeycloakTokenManager({ ...smallest, requestTimeoutMs: '60' });
// @ts-expect-error a number among the parameters
new KeycloakTokenManager({ ...smallest, parameters: { a: 1 } });
// @ts-expect-error a resource has a base URL
new KeycloakTokenManager({ ...smallest, resource: { userHeader: 'X-User' } });
// @ts-expect-error the name is misspelt
new KeycloakTokenManager({ ...smallest, resource: { baseURL: 'https://api.example' } });
// @ts-expect-error a logger needs all four methods
new KeycloakTokenManager({ ...smallest, logger: { error() {}, warn() {}, info() {} } });

const manager = new KeycloakTokenManager(smallest);
const { signal } = new AbortController();
const request: GetTokenOptions = { minValiditySeconds: 0.5, signal, forceRefresh: true };

export async function calls(): Promise<void> {
  const token = await manager.getToken();
  await manager.getToken(request);
  await manager.getToken(absentOfCall);
  await manager.getToken({ signal: AbortSignal.timeout(1000) });
  await manager.getTokenForStreaming(300_000);
  manager.invalidateToken(token);
  manager.invalidateToken();
  manager.clearCache();
  await manager.close();
  await manager[Symbol.asyncDispose]();
  manager satisfies AsyncDisposable;
  const access = await manager.getAccessToken(request);
  access.token.startsWith('ey');

  // @ts-expect-error an unknown call option
  await manager.getToken({ timeout: 1 });
  // @ts-expect-error a numeric string
  await manager.getToken({ minValiditySeconds: '1' });
  // @ts-expect-error not a signal
  await manager.getToken({ signal: {} });
  // @ts-expect-error the lifetime is required
  await manager.getTokenForStreaming();
  // @ts-expect-error `null` is not a token
  manager.invalidateToken(null);
  // @ts-expect-error a promise of a token is not a token
  manager.invalidateToken(manager.getToken());
}

export async function resourceCalls(): Promise<void> {
  const double: Required<ResourceOptions>['fetch'] = async () => new Response('a');
  new KeycloakTokenManager({ ...smallest, resource: { baseUrl: 'https://a', fetch: double } });

  const init: AuthenticatedRequestInit = { method: 'POST', backstageUser: 'user:default/jane' };
  const response: Response = await manager.fetch('agents', { ...init, minValiditySeconds: 300 });
  await manager.fetch(new URL('https://a.example'));
  await manager.fetch('agents', { backstageUser: undefined, minValiditySeconds: undefined });
  await manager.fetch(new Request('https://a.example'), { signal: AbortSignal.timeout(1000) });
  // A client that takes a fetch function takes the manager's `fetch`.
  const client: { fetch: typeof fetch } = { fetch: manager.fetch };
  await client.fetch('agents');
  console.log(response.body);

  // @ts-expect-error a number is not an address
  await manager.fetch(1);
  // @ts-expect-error a user is a string
  await manager.fetch('agents', { backstageUser: null });
  // @ts-expect-error a numeric string
  await manager.fetch('agents', { minValiditySeconds: '1' });
  // @ts-expect-error an unknown member
  await manager.fetch('agents', { forceRefresh: true });
}

export function snapshots(): void {
  const { name, state, counters, acquisitionLatencyMs, ...rest } = manager.snapshot();
  const latency: { count: number; sum: number; max: number; last: number } = acquisitionLatencyMs;
  const { tokenAgeSeconds, secondsToSoftExpiry, secondsToHardExpiry, lastSuccessAt } = rest;
  const times: (number | undefined)[] = [tokenAgeSeconds, secondsToSoftExpiry, secondsToHardExpiry];
  times.push(latency.last, lastSuccessAt, rest.lastFailure?.at, counters.hits);
  const code: KeycloakTokenErrorCode | undefined = rest.lastFailure?.code;
  console.log(name, state, times, code);
  // @ts-expect-error a snapshot has no token
  manager.snapshot().token;
}

export function errors(thrown: unknown): string | undefined {
  if (!(thrown instanceof KeycloakTokenError)) return undefined;
  const { name, retryable }: { name: 'KeycloakTokenError'; retryable: boolean } = thrown;
  const numbers: (number | undefined)[] = [thrown.status, thrown.retryAfterMs, thrown.attempts];
  const { oauthError, oauthErrorDescription, tokenEndpoint, clientId, message, stack } = thrown;
  const texts: (string | undefined)[] = [
    oauthError,
    oauthErrorDescription,
    tokenEndpoint,
    clientId,
  ];
  console.log(name, retryable, numbers, texts, message, stack, thrown.cause);
  // @ts-expect-error errors are read, not changed
  thrown.code = 'ERR_KEYCLOAK_HTTP';
  // @ts-expect-error only the package creates errors
  new KeycloakTokenError();
  // @ts-expect-error an unknown code
  if (thrown.code === 'ERR_KEYCLOAK_UNKNOWN') return undefined;
  return thrown.code;
}
