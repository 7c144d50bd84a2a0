// Compiled, never run, like the other type tests: the public members of
// `keycloak-token-manager/testing`.

import { KeycloakTokenManager } from 'keycloak-token-manager';
import type {
  FakeTokenAnswer,
  FakeTokenAnswerSource,
  FakeTokenEndpoint,
  FakeTokenEndpointOptions,
  FakeTokenRequest,
  FakeTokenRequestAuthentication,
} from 'keycloak-token-manager/testing';
import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';

const options: Required<FakeTokenEndpointOptions> = {
  realm: 'test',
  clients: { client: 'secret' },
  expiresIn: 300,
  delayMs: 0,
  roles: ['viewer'],
  tls: { key: 'PEM', cert: Buffer.from('PEM') },
  tokenSize: 0,
  dpop: 'required',
  dpopNonce: 'n-1',
};
const answer: Required<FakeTokenAnswer> = {
  status: 503,
  headers: { 'retry-after': '1' },
  body: 'busy',
  delayMs: 1,
  expiresIn: 3,
  fault: 'drip',
  dripMs: 10,
};
const sources: FakeTokenAnswerSource[] = [
  answer,
  { body: { access_token: 'a' } },
  { body: Buffer.from('a') },
  () => undefined,
  async (request: FakeTokenRequest) => ({ status: request.scope === undefined ? 400 : 200 }),
];

export async function endpoints(): Promise<void> {
  const endpoint: FakeTokenEndpoint = await startFakeTokenEndpoint(options);
  await startFakeTokenEndpoint();
  const { url, tokenEndpoint, issuer, jwksUri } = endpoint;
  const strings: string[] = [url, tokenEndpoint, issuer, jwksUri];
  const numbers: number[] = [endpoint.requestCount, endpoint.connectionCount];
  endpoint.setDelay(5);
  endpoint.setExpiresIn(5);
  endpoint.setSecret('client', 'rotated');
  for (const source of sources) endpoint.setAnswer(source);
  endpoint.answerNext(...sources);
  endpoint.restore();
  endpoint.pause();
  endpoint.resume();
  await endpoint.goOffline();
  await endpoint.goOnline();
  endpoint.clearRequests();
  strings.push(endpoint.issueToken(), endpoint.issueToken({ aud: ['api'], sub: undefined }));

  const [first] = await endpoint.waitForRequests(1);
  if (first !== undefined) {
    const authentication: FakeTokenRequestAuthentication = first.authentication;
    const known: (string | undefined)[] = [first.clientId, first.grantType, authentication];
    numbers.push(first.at, first.connection, first.status ?? 0);
    console.log(known, first.parameters.audience, first.headers.accept, numbers, strings);
    // @ts-expect-error the log is read-only
    first.status = 200;
    // @ts-expect-error the log holds no credential
    first.clientSecret;
  }
  console.log(endpoint.requests.length);

  endpoint.setAnswer({
    status: undefined,
    headers: undefined,
    body: undefined,
    delayMs: undefined,
    expiresIn: undefined,
    fault: undefined,
    dripMs: undefined,
  });
  await startFakeTokenEndpoint({
    realm: undefined,
    clients: undefined,
    expiresIn: undefined,
    delayMs: undefined,
    roles: undefined,
    tls: undefined,
    tokenSize: undefined,
  });
  new KeycloakTokenManager({ tokenEndpoint, clientId: 'client', clientSecret: 'secret' });
  // @ts-expect-error the log is read-only
  endpoint.requests.push(first);
  // @ts-expect-error an unknown option
  await startFakeTokenEndpoint({ port: 1 });
  // @ts-expect-error an unknown fault
  endpoint.setAnswer({ fault: 'explode' });
  // @ts-expect-error a numeric string
  endpoint.setExpiresIn('3');

  await (endpoint satisfies AsyncDisposable)[Symbol.asyncDispose]();
  await endpoint.close();
}
