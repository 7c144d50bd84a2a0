import type { RootConfigService, ServiceFactory, ServiceRef } from '@backstage/backend-plugin-api';
import type {
  KeycloakTokenManager,
  KeycloakTokenManagerOptions,
  TokenFetch,
} from 'keycloak-token-manager';

/**
 * The service that a plugin receives: the methods of the one manager that all plugins of the
 * backend share. If one plugin drops a token, the manager drops the token for all plugins.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenManagerService } from 'keycloak-token-manager/backstage';
 *
 * export async function listAgents(tokens: KeycloakTokenManagerService, backstageUser: string) {
 *   const response = await tokens.fetch('agents', { backstageUser });
 *   if (!response.ok) throw new Error(`the API answered ${response.status}`);
 *   return response.json();
 * }
 * ```
 */
export interface KeycloakTokenManagerService
  extends Pick<
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
    >,
    AsyncDisposable {
  /** The id of the plugin that received this service. */
  readonly pluginId: string;
  /** Closes nothing: the manager closes when the backend shuts down. */
  close(): Promise<void>;
}

/**
 * The service that the section `boost.kagenti.auth` configures. It has a default factory: a plugin
 * declares it as a dependency, and the backend needs no further line. Its id is
 * `keycloak-token-manager`.
 *
 * The section accepts the {@link KeycloakTokenManagerOptions} that YAML can express, under the same
 * names. If the section is missing, incomplete or wrong, the plugins that depend on the service
 * fail to start, with `ERR_KEYCLOAK_CONFIG`. An edit takes effect while the backend runs, and
 * callers keep getting valid tokens. The service logs and ignores an edit that is wrong or removes
 * the section.
 *
 * @example
 * ```ts
 * import { coreServices, createBackendPlugin } from '@backstage/backend-plugin-api';
 * import { keycloakTokenManagerServiceRef } from 'keycloak-token-manager/backstage';
 *
 * export default createBackendPlugin({
 *   pluginId: 'agents',
 *   register(env) {
 *     env.registerInit({
 *       deps: { tokens: keycloakTokenManagerServiceRef, logger: coreServices.logger },
 *       async init({ tokens, logger }) {
 *         const response = await tokens.fetch('agents');
 *         logger.info(`the API answered ${response.status}`);
 *       },
 *     });
 *   },
 * });
 * ```
 */
export const keycloakTokenManagerServiceRef: ServiceRef<
  KeycloakTokenManagerService,
  'plugin',
  'singleton'
>;

/**
 * The factory of {@link keycloakTokenManagerServiceRef}. Add it to a backend whose plugins carry
 * their own copies of this package: all of them then share one manager. The factory changes nothing
 * else.
 *
 * @example
 * ```ts
 * // The default export of a dynamic plugin.
 * export { keycloakTokenManagerServiceFactory as default } from 'keycloak-token-manager/backstage';
 * ```
 */
export const keycloakTokenManagerServiceFactory: ServiceFactory<
  KeycloakTokenManagerService,
  'plugin',
  'singleton'
>;

/**
 * Creates a further service with a default factory and its own manager, for a second realm or
 * client. The package's configuration schema does not know its section. The app or plugin that
 * chooses the key must declare `clientSecret` with secret visibility; otherwise, logs show the
 * secret. For the key `acme.auth`, the `package.json` of that app or plugin contains:
 *
 * ```json
 * "configSchema": { "type": "object", "properties": { "acme": { "type": "object", "properties": {
 *   "auth": { "type": "object", "properties": {
 *     "clientSecret": { "type": "string", "visibility": "secret" } } } } } } }
 * ```
 *
 * @param options `id`: the id of the service, unique in the backend. `configKey`: the key of its
 *   section, such as `acme.agents.auth`. `tokenFetch`: the option of the same name, which a
 *   configuration file cannot express.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for an invalid `id` or `configKey`.
 * @example
 * ```ts
 * import { createKeycloakTokenManagerServiceRef } from 'keycloak-token-manager/backstage';
 *
 * export const acmeTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'acme.tokens',
 *   configKey: 'acme.auth',
 * });
 * ```
 */
export function createKeycloakTokenManagerServiceRef(options: {
  id: string;
  configKey: string;
  tokenFetch?: true | TokenFetch | undefined;
}): ServiceRef<KeycloakTokenManagerService, 'plugin', 'singleton'>;

/**
 * Reads the options of a manager from a section of the configuration, for code that creates the
 * manager itself. Numbers and booleans may be strings, since `${NAME}` yields strings. The manager
 * checks the values; this function checks the keys and their types.
 *
 * @param key The key of the section. Default: `boost.kagenti.auth`.
 * @returns `undefined` if the configuration has no such section.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names the key of the section and
 *   each option that is missing, unknown or of a wrong type, but never a value.
 * @example
 * ```ts
 * import type { RootConfigService } from '@backstage/backend-plugin-api';
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { readKeycloakTokenManagerOptions } from 'keycloak-token-manager/backstage';
 *
 * export function createManager(config: RootConfigService) {
 *   const options = readKeycloakTokenManagerOptions(config, 'acme.auth');
 *   return options && new KeycloakTokenManager(options);
 * }
 * ```
 */
export function readKeycloakTokenManagerOptions(
  config: RootConfigService,
  key?: string,
): KeycloakTokenManagerOptions | undefined;
