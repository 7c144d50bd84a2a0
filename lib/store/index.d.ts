import type { TokenStore } from 'keycloak-token-manager';

/**
 * The methods of a Keyv that {@link fromKeyv} uses.
 *
 * @example
 * ```ts
 * import Keyv from 'keyv';
 * import type { KeyvCache } from 'keycloak-token-manager/store';
 *
 * const cache: KeyvCache = new Keyv();
 * ```
 */
export interface KeyvCache {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

/**
 * Creates a store from a Keyv (version 4, 5 or 6) whose adapter connects to a server. You own the
 * Keyv and its connection: the store never closes the connection. It adds listeners for `error`
 * events.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the argument is not a Keyv, or if the Keyv
 *   keeps its entries in this process.
 * @example
 * ```ts
 * import Keyv from 'keyv';
 * import KeyvValkey from '@keyv/valkey';
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { fromKeyv } from 'keycloak-token-manager/store';
 *
 * const store = fromKeyv(new Keyv(new KeyvValkey('redis://127.0.0.1:6379')));
 * const manager = new KeycloakTokenManager({ tokenEndpoint, clientId, clientSecret, store });
 * ```
 */
export function fromKeyv(keyv: KeyvCache): TokenStore;

/**
 * The methods of Backstage's `CacheService` that {@link fromBackstageCache} uses.
 *
 * @example
 * ```ts
 * import { coreServices, createBackendPlugin } from '@backstage/backend-plugin-api';
 * import type { BackstageCache } from 'keycloak-token-manager/store';
 *
 * export default createBackendPlugin({
 *   pluginId: 'agents',
 *   register(env) {
 *     env.registerInit({
 *       deps: { cache: coreServices.cache },
 *       async init(deps) {
 *         const cache: BackstageCache = deps.cache;
 *         await cache.get('key');
 *       },
 *     });
 *   },
 * });
 * ```
 */
export interface BackstageCache {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, options?: { ttl?: number }): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

/**
 * The method of Backstage's `CacheManager` that {@link fromBackstageCache} uses.
 *
 * @example
 * ```ts
 * import { CacheManager } from '@backstage/backend-defaults/cache';
 * import type { RootConfigService } from '@backstage/backend-plugin-api';
 * import type { BackstageCacheManager } from 'keycloak-token-manager/store';
 *
 * export function openCaches(config: RootConfigService): BackstageCacheManager {
 *   return CacheManager.fromConfig(config);
 * }
 * ```
 */
export interface BackstageCacheManager {
  forPlugin(id: string): BackstageCache;
}

/**
 * Creates a store from Backstage's cache. In the configuration, `sharedCache: true` does this for
 * you.
 *
 * With a function, the store opens the cache at the first call, and opens another one if the first
 * no longer answers, because the Redis client of some Backstage releases never reconnects after its
 * connection has ended. The connections of a `CacheManager` do not keep the process alive.
 *
 * A `CacheService` belongs to a plugin, and other plugins cannot read its entries.
 *
 * @param cache A `CacheService`, a `CacheManager`, or a function that returns either of them or a
 *   promise of either.
 * @param id The id that the store passes to the method `forPlugin` of a `CacheManager`. Default:
 *   `keycloak-token-manager`.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if an argument is invalid, or if the
 *   `CacheManager` keeps its entries in this process (`backend.cache.store: memory`). With a
 *   function, calls to the store reject instead.
 * @example
 * ```ts
 * import { CacheManager } from '@backstage/backend-defaults/cache';
 * import type { RootConfigService } from '@backstage/backend-plugin-api';
 * import { fromBackstageCache } from 'keycloak-token-manager/store';
 *
 * export function createStore(config: RootConfigService) {
 *   return fromBackstageCache(() => CacheManager.fromConfig(config));
 * }
 * ```
 */
export function fromBackstageCache(
  cache:
    | BackstageCache
    | BackstageCacheManager
    | (() =>
        | BackstageCache
        | BackstageCacheManager
        | Promise<BackstageCache | BackstageCacheManager>),
  id?: string,
): TokenStore;

/**
 * The methods of a client of the package `redis` that {@link fromNodeRedis} uses. Cluster clients
 * and client pools have these methods too.
 *
 * @example
 * ```ts
 * import { createClient } from 'redis';
 * import type { NodeRedisClient } from 'keycloak-token-manager/store';
 *
 * const client: NodeRedisClient = createClient({ url: 'redis://127.0.0.1:6379' });
 * ```
 */
export interface NodeRedisClient {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, options: { PX: number }): Promise<unknown>;
  del(key: string): Promise<unknown>;
}

/**
 * Creates a store from a client of the package `redis` (node-redis, version 4 or later). Connect
 * the client, and close it when you no longer need it: the store does neither. It adds a listener
 * for `error` events.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the argument is not such a client.
 * @example
 * ```ts
 * import { createClient } from 'redis';
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { fromNodeRedis } from 'keycloak-token-manager/store';
 *
 * const client = createClient({ url: 'redis://127.0.0.1:6379' });
 * await client.connect();
 * const store = fromNodeRedis(client);
 * const manager = new KeycloakTokenManager({ tokenEndpoint, clientId, clientSecret, store });
 * ```
 */
export function fromNodeRedis(client: NodeRedisClient): TokenStore;

/**
 * The methods of a client of ioredis or iovalkey that {@link fromIoredis} uses. Cluster clients
 * have these methods too.
 *
 * @example
 * ```ts
 * import { Redis } from 'ioredis';
 * import type { IoredisClient } from 'keycloak-token-manager/store';
 *
 * const client: IoredisClient = new Redis('redis://127.0.0.1:6379');
 * ```
 */
export interface IoredisClient {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, millisecondsToken: 'PX', milliseconds: number): Promise<unknown>;
  del(key: string): Promise<unknown>;
}

/**
 * Creates a store from a client of the package `ioredis` or `iovalkey`. Close the client when you
 * no longer need it: the store does not. It adds a listener for `error` events.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the argument is not such a client.
 * @example
 * ```ts
 * import { Redis } from 'ioredis';
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { fromIoredis } from 'keycloak-token-manager/store';
 *
 * const store = fromIoredis(new Redis('redis://127.0.0.1:6379'));
 * const manager = new KeycloakTokenManager({ tokenEndpoint, clientId, clientSecret, store });
 * ```
 */
export function fromIoredis(client: IoredisClient): TokenStore;
