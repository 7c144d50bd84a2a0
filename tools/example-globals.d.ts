// The names that the documents use without declaring them. `__test__/examples.test.js` provides
// `manager` where it runs an example.

declare const manager: import('keycloak-token-manager').KeycloakTokenManager;

declare const tokenEndpoint: string;
declare const clientId: string;
declare const clientSecret: string;
declare const baseUrl: string;
declare const url: string;
declare const userRef: string;
declare const message: string;
declare const signal: AbortSignal;
declare const logger: import('keycloak-token-manager').KeycloakTokenManagerLogger;
declare const config: { getString(key: string): string };
declare const cache: object;
declare const authClient: import('./KeycloakAuthClient').KeycloakAuthClient;

/** A metric of a metrics library. */
interface Metric {
  set(value: number): void;
}
declare const remaining: Metric;
declare const acquisitions: Metric;
declare const latency: Metric;

// The public types of the classes that MIGRATION.md replaces.

declare module '*/KeycloakTokenManager' {
  export class KeycloakTokenManager {
    constructor(options: {
      tokenEndpoint: string;
      clientId: string;
      clientSecret: string | (() => string);
      logger: import('keycloak-token-manager').KeycloakTokenManagerLogger;
      skipTlsVerify?: boolean;
      tokenExpiryBufferSeconds?: number;
    });
    getToken(): Promise<string>;
    getTokenForStreaming(minLifetimeMs: number): Promise<string>;
    clearCache(): void;
  }
}

declare module '*/KeycloakAuthClient' {
  export class KeycloakAuthClient {
    constructor(
      options: { tokenEndpoint: string; clientId: string; clientSecret: string },
      expiryBufferSeconds?: number,
    );
    getBearerToken(): Promise<string>;
    invalidateToken(): void;
  }
}

declare module '*/client/KagentiApiClient' {
  export class KagentiApiClient {
    constructor(options: {
      baseUrl: string;
      tokenManager: { getToken(): Promise<string>; clearCache(): void };
      skipTlsVerify?: boolean;
      logger: object;
      requestTimeoutMs?: number;
      streamTimeoutMs?: number;
      maxRetries?: number;
      retryBaseDelayMs?: number;
    });
    setRequestContext(context: { userRef?: string }): void;
    request<T>(method: string, path: string, body?: unknown, skipAuth?: boolean): Promise<T>;
  }
}

declare module '*/tokenUtil' {
  export function getTokenFromApi(options: object): Promise<string>;
  export class SsoAuthenticationError extends Error {
    constructor(message: string, status: number);
  }
}

declare module '*/boost/KagentiApiClient' {
  export class KagentiApiClient {
    constructor(options: { baseUrl: string; logger: object; authClient?: object });
    requestCore(options: {
      method: string;
      path: string;
      body?: unknown;
      userRef?: string;
    }): Promise<unknown>;
  }
}

declare module '*/KeycloakTokenCache' {
  export class KeycloakTokenCache {
    constructor(options: { cache: object; logger: object });
    get(key: string): Promise<string | undefined>;
    set(key: string, token: string, ttlSeconds: number): Promise<void>;
    invalidate(key: string): Promise<void>;
  }
}

// The parts of packages outside this checkout that the documents use.

declare module '@keycloak/keycloak-admin-client' {
  export default class KeycloakAdminClient {
    constructor(config: { baseUrl: string; realmName: string });
    auth(credentials: {
      grantType: 'client_credentials';
      clientId: string;
      clientSecret: string;
    }): Promise<void>;
    registerTokenProvider(provider: { getAccessToken(): Promise<string | undefined> }): void;
    setAccessToken(token: string): void;
    users: { find(query?: { max?: number }): Promise<object[]> };
  }
}

declare module 'undici' {
  export class Agent {
    constructor(options: { connect: { ca?: string; timeout?: number } });
  }
  export class ProxyAgent {
    constructor(url: string);
  }
  export function fetch(input: string | Request, init?: object): Promise<Response>;
}

declare module '@modelcontextprotocol/sdk/client/streamableHttp.js' {
  export class StreamableHTTPClientTransport {
    constructor(url: URL, options?: { fetch?: typeof fetch });
    start(): Promise<void>;
  }
}

declare module 'ky' {
  const ky: {
    create(options: { fetch: typeof fetch; prefixUrl: string }): {
      post(url: string, options: { json: object }): { json(): Promise<object> };
    };
  };
  export default ky;
}

declare module 'openapi-fetch' {
  export default function createClient(options: { baseUrl: string; fetch: typeof fetch }): {
    POST(path: string, options: { body: object }): Promise<{ data?: object; error?: object }>;
  };
}

declare module 'ofetch' {
  export function createFetch(options: {
    fetch: typeof fetch;
    Headers: typeof Headers;
    AbortController: typeof AbortController;
    defaults: { baseURL: string };
  }): (path: string, options: { method: string; body: object }) => Promise<object>;
}

declare module 'axios' {
  const axios: {
    create(options: { adapter: 'fetch'; env: { fetch: typeof fetch }; baseURL: string }): {
      post(path: string, body: object): Promise<{ data: object }>;
    };
  };
  export default axios;
}

declare module '@octokit/request' {
  export const request: {
    defaults(options: {
      baseUrl: string;
      request: { fetch: typeof fetch };
    }): (route: string, parameters: object) => Promise<{ data: object }>;
  };
}

declare module 'graphql-request' {
  export class GraphQLClient {
    constructor(url: string, options: { fetch: typeof fetch });
    request(document: string): Promise<object>;
  }
}

declare module 'keyv' {
  export default class Keyv {
    constructor(store?: object);
    get(key: string): Promise<unknown>;
    set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
    delete(key: string): Promise<boolean>;
  }
}

declare module '@keyv/valkey' {
  export default class KeyvValkey {
    constructor(url: string);
  }
}

declare module 'redis' {
  export function createClient(options: { url?: string | undefined }): {
    on(event: 'error', listener: (error: Error) => void): object;
    connect(): Promise<unknown>;
    get(key: string): Promise<string | null>;
    set(key: string, value: string, options?: { PX?: number }): Promise<string | null>;
    del(key: string): Promise<number>;
  };
}

declare module 'ioredis' {
  export class Redis {
    constructor(url: string);
    get(key: string): Promise<string | null>;
    set(key: string, value: string, token: 'PX', milliseconds: number): Promise<'OK'>;
    del(key: string): Promise<number>;
  }
}
