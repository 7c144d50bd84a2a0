'use strict';

/** Clients from other packages that use `manager.fetch` or a token, as docs/clients.md shows. */

const assert = require('node:assert/strict');
const { mkdtemp, rm, symlink, writeFile } = require('node:fs/promises');
const http = require('node:http');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { pinnedPackages } = require('../../tools/pinned-packages.js');
const { startApi } = require('../support/api-server.js');
const { listen } = require('../support/listen.js');
const { startNumbered, times } = require('../support/manager.js');

const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;
const LIMIT_MS = 30_000;
const SENT = { message: 'héllo' };

/** Loads a package, which may be an ES module without a CommonJS form. */
let load;
let folder;

before(
  async () => {
    const modules = await pinnedPackages('clients', path.join(__dirname, 'dependencies'));
    folder = await mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-clients-'));
    await symlink(modules, path.join(folder, 'node_modules'));
    const loader = path.join(folder, 'load.mjs');
    await writeFile(loader, 'export const load = (name) => import(name);\n');
    ({ load } = await import(pathToFileURL(loader)));
  },
  { timeout: INSTALL_TIMEOUT_MS },
);
after(() => folder && rm(folder, { recursive: true, force: true }));

/** Each client, with a GET and a POST that return the response's data. */
const CLIENTS = {
  async ky({ fetch, url }) {
    const { default: ky } = await load('ky');
    const client = ky.create({ fetch, prefixUrl: url });
    return {
      get: () => client.get('agents').json(),
      post: () => client.post('agents', { json: SENT }).json(),
    };
  },
  async 'openapi-fetch'({ fetch, url }) {
    const { default: createClient } = await load('openapi-fetch');
    const client = createClient({ baseUrl: url, fetch });
    const data = async (call) => (await call).data;
    return {
      get: () => data(client.GET('/agents')),
      post: () => data(client.POST('/agents', { body: SENT })),
    };
  },
  async axios({ fetch, url }) {
    const { default: axios } = await load('axios');
    const client = axios.create({ adapter: 'fetch', env: { fetch }, baseURL: url });
    return {
      get: async () => (await client.get('/agents')).data,
      post: async () => (await client.post('/agents', SENT)).data,
    };
  },
  async ofetch({ fetch, url }) {
    const { createFetch } = await load('ofetch');
    const client = createFetch({ fetch, Headers, AbortController, defaults: { baseURL: url } });
    return {
      get: () => client('/agents'),
      post: () => client('/agents', { method: 'POST', body: SENT }),
    };
  },
  async '@octokit/request'({ fetch, url }) {
    const { request } = await load('@octokit/request');
    const client = request.defaults({ baseUrl: url, request: { fetch } });
    return {
      get: async () => (await client('GET /agents')).data,
      post: async () => (await client('POST /agents', SENT)).data,
    };
  },
  async 'graphql-request'({ fetch, url }) {
    const { GraphQLClient } = await load('graphql-request');
    const client = new GraphQLClient(`${url}/graphql`, { fetch });
    const reading = new GraphQLClient(`${url}/graphql`, { fetch, method: 'GET' });
    return {
      get: () => reading.request('{ agents }'),
      post: () => client.request('query Agents($message: String) { agents }', SENT),
    };
  },
  async '@backstage/catalog-client'({ fetch, url }) {
    const { CatalogClient } = await load('@backstage/catalog-client');
    const discoveryApi = { getBaseUrl: async () => `${url}/api/catalog` };
    const client = new CatalogClient({ discoveryApi, fetchApi: { fetch } });
    return {
      get: () => client.getLocationById('a'),
      post: () => client.getEntitiesByRefs({ entityRefs: [`user:default/${SENT.message}`] }),
    };
  },
};

/** The API's response, in a form that all clients understand. */
const ANSWER = JSON.stringify({ agents: [], data: { agents: [] }, items: [] });

/** An API that refuses the first `refused` tokens, and a manager whose `fetch` sends tokens to it. */
async function start(t, refused = 0) {
  const api = await startApi(t, (request) => {
    const [, number = '0'] = /^bearer token-(\d+)$/i.exec(request.headers.authorization) ?? [];
    const isRefused = number <= refused;
    const challenge = isRefused ? { 'www-authenticate': 'Bearer' } : {};
    return [isRefused ? 401 : 200, { 'content-type': 'application/json', ...challenge }, ANSWER];
  });
  const parts = await startNumbered(t, 300, { resource: { baseUrl: api.url } });
  return { api, ...parts, fetch: parts.manager.fetch, url: api.url };
}

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, { timeout: LIMIT_MS }, () => {
    test('gets and posts with the token', async (t) => {
      const { api, endpoint, ...parts } = await start(t);
      const client = await make(parts);
      await client.get();
      await client.post();
      const methods = api.requests.map(({ method }) => method);
      assert.deepEqual(methods, ['GET', 'POST']);
      assert.ok(Buffer.from(api.requests[1].body, 'latin1').includes(SENT.message));
      assert.equal(endpoint.requestCount, 1);
    });

    test('posts once more with a new token after a 401', async (t) => {
      const { api, endpoint, ...parts } = await start(t, 1);
      const client = await make(parts);
      const answer = await client.post();
      assert.ok(JSON.stringify(answer).includes('[]'), 'the answer of the second request');
      const [first, second, ...more] = api.requests;
      assert.deepEqual(more, []);
      assert.equal(second.headers.authorization, 'Bearer token-2');
      assert.equal(second.body, first.body);
      assert.equal(second.headers['content-type'], first.headers['content-type']);
      assert.equal(endpoint.requestCount, 2);
    });
  });
}

describe('@modelcontextprotocol/sdk', { timeout: LIMIT_MS }, () => {
  const sdk = (name) => load(`@modelcontextprotocol/sdk/${name}.js`);

  /**
   * Starts a server of the SDK with one tool. The server checks the token and refuses the first
   * token.
   */
  async function startServer(t, connect) {
    const { McpServer } = await sdk('server/mcp');
    const refused = [];
    const handle = await connect(() => {
      const server = new McpServer({ name: 'test', version: '1.0.0' });
      server.registerTool('hello', { description: 'Says hello' }, () => ({
        content: [{ type: 'text', text: 'hello' }],
      }));
      return server;
    });
    const server = http.createServer((request, response) => {
      if (request.headers.authorization === 'Bearer token-2') return handle(request, response);
      refused.push(request.method);
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    });
    const { url } = await listen(t, server);
    t.after(() => server.closeAllConnections());
    const parts = await startNumbered(t, 300, { resource: { baseUrl: url } });
    return { ...parts, url, refused };
  }

  async function callTool(t, transport) {
    const { Client } = await sdk('client/index');
    const client = new Client({ name: 'test', version: '1.0.0' });
    t.after(() => client.close());
    await client.connect(transport);
    const results = await Promise.all(times(5, () => client.callTool({ name: 'hello' })));
    return new Set(results.map(({ content }) => content[0].text));
  }

  test('calls tools over streamable HTTP', async (t) => {
    const { endpoint, manager, url, refused } = await startServer(t, async (makeServer) => {
      const { StreamableHTTPServerTransport } = await sdk('server/streamableHttp');
      return async (request, response) => {
        const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
        await makeServer().connect(transport);
        await transport.handleRequest(request, response);
      };
    });
    const { StreamableHTTPClientTransport } = await sdk('client/streamableHttp');
    const { fetch } = manager;
    const transport = new StreamableHTTPClientTransport(new URL('/mcp', url), { fetch });
    assert.deepEqual(await callTool(t, transport), new Set(['hello']));
    assert.deepEqual(refused, ['POST']);
    assert.equal(endpoint.requestCount, 2);
  });

  test('calls tools over server-sent events', async (t) => {
    const { endpoint, manager, url, refused } = await startServer(t, async (makeServer) => {
      const { SSEServerTransport } = await sdk('server/sse');
      const transports = new Map();
      return async (request, response) => {
        if (request.method === 'GET') {
          const transport = new SSEServerTransport('/messages', response);
          transports.set(transport.sessionId, transport);
          await makeServer().connect(transport);
        } else {
          const id = new URL(request.url, 'http://localhost').searchParams.get('sessionId');
          await transports.get(id).handlePostMessage(request, response);
        }
      };
    });
    const { SSEClientTransport } = await sdk('client/sse');
    const { fetch } = manager;
    const transport = new SSEClientTransport(new URL('/sse', url), { fetch });
    assert.deepEqual(await callTool(t, transport), new Set(['hello']));
    assert.deepEqual(refused, ['GET']);
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('@keycloak/keycloak-admin-client', { timeout: LIMIT_MS }, () => {
  async function startAdmin(t, refused) {
    const { default: KeycloakAdminClient } = await load('@keycloak/keycloak-admin-client');
    const parts = await start(t, refused);
    parts.api.requests.length = 0;
    const admin = new KeycloakAdminClient({ baseUrl: parts.url, realmName: 'my-realm' });
    return { ...parts, admin };
  }

  test('asks a provider for the token before each request', async (t) => {
    const { admin, api, endpoint, manager } = await startAdmin(t);
    admin.registerTokenProvider({ getAccessToken: () => manager.getToken() });
    await admin.users.find({ max: 10 });
    await admin.users.find({ max: 10 });
    assert.deepEqual(
      api.requests.map(({ headers }) => headers.authorization.toLowerCase()),
      ['bearer token-1', 'bearer token-1'],
    );
    assert.equal(endpoint.requestCount, 1);
  });

  test('works with a wrapper that retries with a new token after a 401', async (t) => {
    const { admin, endpoint, manager } = await startAdmin(t, 1);
    let sent;
    admin.registerTokenProvider({
      getAccessToken: async () => {
        sent = await manager.getToken();
        return sent;
      },
    });
    const withToken = async (call) => {
      try {
        return await call();
      } catch (error) {
        if (error.response?.status !== 401 || !manager.invalidateToken(sent)) throw error;
        return call();
      }
    };
    await withToken(() => admin.users.find({ max: 10 }));
    assert.equal(endpoint.requestCount, 2);
  });

  test('also works with the manager itself as the provider', async (t) => {
    const { admin, api, manager } = await startAdmin(t);
    admin.registerTokenProvider(manager);
    await admin.users.find({ max: 10 });
    assert.equal(api.requests[0].headers.authorization.toLowerCase(), 'bearer token-1');
  });
});
