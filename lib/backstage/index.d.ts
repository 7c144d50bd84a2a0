import type { RootConfigService, ServiceFactory, ServiceRef } from '@backstage/backend-plugin-api';
import type { KeycloakTokenManager, KeycloakTokenManagerOptions } from 'keycloak-token-manager';

/**
 * What a plugin gets: the methods of the one manager that all plugins of the backend share. A
 * token dropped by one plugin is dropped for all.
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
      | 'snapshot'
    >,
    AsyncDisposable {
  /** The plugin that this was made for. */
  readonly pluginId: string;
  /** Closes nothing: the manager closes when the backend shuts down. */
  close(): Promise<void>;
}

/**
 * The service that is configured by `boost.kagenti.auth`. It has a default factory, so a plugin
 * declares it as a dependency and nothing is added to the backend. Its id is
 * `keycloak-token-manager`.
 *
 * The section holds those {@link KeycloakTokenManagerOptions} that can stand in YAML, by the same
 * names. Without the section, or with one that is incomplete or wrong, the plugins that depend on
 * the service fail to start. An edit while the backend runs is taken over without losing the token;
 * one that is wrong, or removes the section, is logged and ignored.
 */
export const keycloakTokenManagerServiceRef: ServiceRef<
  KeycloakTokenManagerService,
  'plugin',
  'singleton'
>;

/**
 * The factory of {@link keycloakTokenManagerServiceRef}. An app whose plugins carry copies of this
 * package adds it to have one manager for all of them; it changes nothing else.
 */
export const keycloakTokenManagerServiceFactory: ServiceFactory<
  KeycloakTokenManagerService,
  'plugin',
  'singleton'
>;

/**
 * A further service with a default factory and a manager of its own, for a second realm or client.
 * The package's configuration schema does not know its section: the app or plugin that chooses the
 * key must declare `clientSecret` there with secret visibility, or logs show it. In its
 * `package.json`, for the key `acme.auth`:
 *
 * ```json
 * "configSchema": { "type": "object", "properties": { "acme": { "type": "object", "properties": {
 *   "auth": { "type": "object", "properties": {
 *     "clientSecret": { "type": "string", "visibility": "secret" } } } } } } }
 * ```
 *
 * @param options `id`: the id of the service, unique in the backend. `configKey`: the key of its
 *   section, such as `acme.agents.auth`.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if either is not a non-empty string.
 */
export function createKeycloakTokenManagerServiceRef(options: {
  id: string;
  configKey: string;
}): ServiceRef<KeycloakTokenManagerService, 'plugin', 'singleton'>;

/**
 * The options that stand in a section of the configuration, for those who make a manager by hand.
 * Numbers and booleans may be strings, as `${NAME}` gives them. What values an option may have is
 * checked by the manager, not here.
 *
 * @param key Default `boost.kagenti.auth`.
 * @returns `undefined` if there is no such section.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` naming the key and everything that is missing,
 *   unknown or of a wrong type; never a value.
 */
export function readKeycloakTokenManagerOptions(
  config: RootConfigService,
  key?: string,
): KeycloakTokenManagerOptions | undefined;
