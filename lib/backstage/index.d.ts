import type { RootConfigService, ServiceFactory, ServiceRef } from '@backstage/backend-plugin-api';
import type {
  DerivedTokenManager,
  KeycloakTokenManagerOptions,
  TokenFetch,
} from 'keycloak-token-manager';

/**
 * The service that a plugin receives: the methods of the one manager that all plugins of the
 * backend share. If a plugin drops a token, the manager drops it for all plugins.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenManagerService } from 'keycloak-token-manager/backstage';
 *
 * export async function listAgents(tokens: KeycloakTokenManagerService, backstageUser: string) {
 *   const response = await tokens.fetch('agents', { backstageUser });
 *   if (!response.ok) throw new Error(`the API responded with status ${response.status}`);
 *   return response.json();
 * }
 * ```
 */
export interface KeycloakTokenManagerService extends DerivedTokenManager, AsyncDisposable {
  /** The id of the plugin that received this service. */
  readonly pluginId: string;
  /**
   * Does not close the manager, because other plugins may use it. The manager closes when the
   * backend shuts down. After this call, a {@link KeycloakTokenManagersService} no longer counts
   * this plugin as a user of the manager.
   */
  close(): Promise<void>;
}

/**
 * The service that a reference with `optional: true` provides. Its credentials may be missing.
 *
 * @example
 * ```ts
 * import type { OptionalKeycloakTokenManagerService } from 'keycloak-token-manager/backstage';
 *
 * export async function listAgents(auth: OptionalKeycloakTokenManagerService, url: string) {
 *   const token = await auth.manager?.getToken();
 *   return fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
 * }
 * ```
 */
export interface OptionalKeycloakTokenManagerService {
  /**
   * The manager; `undefined` while the section does not exist, is empty or is partial. The manager
   * appears when an edit of the configuration adds the credentials. If an edit removes the
   * credentials or some of them, the manager stays until the backend restarts.
   */
  readonly manager: KeycloakTokenManagerService | undefined;
}

/**
 * A service that provides several managers: one for each named client of a section, and one for
 * each set of options that your code passes. All plugins of a backend share these managers.
 *
 * The service closes a manager that has been idle for 10 minutes (by default) once every plugin has
 * dropped its reference to the manager or called `close()`. By default, at most 100 managers are
 * open. To open another one, the service closes the least recently used manager, preferably one to
 * which no plugin refers. A plugin can still use a closed manager: the next call opens the manager
 * again and requests a token. The service never closes a manager during a call, so the number of
 * open managers may exceed this limit while many calls are in progress.
 *
 * @example
 * ```ts
 * import type { KeycloakTokenManagersService } from 'keycloak-token-manager/backstage';
 *
 * interface McpServer {
 *   tokenUrl: string;
 *   clientId: string;
 *   clientSecret: string;
 * }
 *
 * export function getMcpToken(managers: KeycloakTokenManagersService, server: McpServer) {
 *   const { tokenUrl, ...client } = server;
 *   return managers.getFor({ ...client, tokenEndpoint: tokenUrl }).getToken();
 * }
 * ```
 */
export interface KeycloakTokenManagersService {
  /** The id of the plugin that received this service. */
  readonly pluginId: string;
  /** The number of managers that are open for all plugins together. */
  readonly size: number;
  /**
   * Returns the manager of the client `name` in the section `keycloak.clients`. The section of a
   * client accepts the keys that {@link readKeycloakTokenManagerOptions} reads. The manager follows
   * edits of the configuration.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the client does not exist, or if its
   *   section is incomplete or invalid.
   */
  get(name: string): KeycloakTokenManagerService;
  /**
   * Returns the manager with these options. Equal options return the same manager. The service
   * compares plain values, lists and records by value, and functions and other objects by identity,
   * so create your functions only once.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names every invalid option.
   */
  getFor(options: KeycloakTokenManagerOptions): KeycloakTokenManagerService;
  /**
   * Closes the manager of a named client, or the manager with these options, for all plugins. Later
   * calls to that manager reject with `ERR_KEYCLOAK_CLOSED`. The next `get` or `getFor` opens a new
   * manager.
   *
   * @returns A promise of a boolean: whether the service had such a manager.
   */
  close(nameOrOptions: string | KeycloakTokenManagerOptions): Promise<boolean>;
}

/**
 * The service that the section `boost.kagenti.auth` configures. The service has a default factory:
 * a plugin declares the service as a dependency, and the backend needs no additional code. The id
 * of the service is `keycloak-token-manager`.
 *
 * The section accepts the {@link KeycloakTokenManagerOptions} that YAML can express, under the same
 * names, plus `sharedCache` and `telemetry`. If the section is missing, incomplete or invalid, the
 * plugins that depend on the service fail to start with `ERR_KEYCLOAK_CONFIG`. The service applies
 * edits of the configuration while the backend runs, and callers keep getting valid tokens. It logs
 * and ignores an edit that is invalid or that removes the section.
 *
 * Within one thread, services with equal options share one manager, even if they belong to
 * different copies of this package. The copies must have the same major version or, before 1.0.0,
 * the same minor version. All options except `resource`, `name`, `logger` and `telemetry` must be
 * equal, including the credential.
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
 *         logger.info(`the API responded with status ${response.status}`);
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
 * The service that provides several managers. The section `keycloak.clients` configures the named
 * clients. The section may be missing. The service has a default factory and the id
 * `keycloak-token-managers`.
 *
 * @example
 * ```ts
 * import { createBackendPlugin } from '@backstage/backend-plugin-api';
 * import { keycloakTokenManagersServiceRef } from 'keycloak-token-manager/backstage';
 *
 * export default createBackendPlugin({
 *   pluginId: 'reports',
 *   register(env) {
 *     env.registerInit({
 *       deps: { managers: keycloakTokenManagersServiceRef },
 *       async init({ managers }) {
 *         const response = await managers.get('billing').fetch('invoices');
 *         if (!response.ok) throw new Error(`the API responded with status ${response.status}`);
 *       },
 *     });
 *   },
 * });
 * ```
 */
export const keycloakTokenManagersServiceRef: ServiceRef<
  KeycloakTokenManagersService,
  'plugin',
  'singleton'
>;

/**
 * The factory of {@link keycloakTokenManagerServiceRef}, for backends that add their services
 * explicitly.
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
 * A function that reads a manager's options from a configuration. Empty strings in the options
 * count as absent. The service calls the function again after each edit of the configuration.
 *
 * @param config The configuration of the backend.
 * @returns The options; `undefined`, or an object without values, if the configuration contains no
 *   credentials.
 * @example
 * ```ts
 * import type { KeycloakOptionsReader } from 'keycloak-token-manager/backstage';
 *
 * export const readAcmeOptions: KeycloakOptionsReader = (config) => {
 *   const acme = config.getOptionalConfig('acme');
 *   return (
 *     acme && {
 *       issuer: `${acme.getString('ssoUrl')}/realms/acme`,
 *       clientId: acme.getString('client.id'),
 *       clientSecret: acme.getString('client.secret'),
 *     }
 *   );
 * };
 * ```
 */
export type KeycloakOptionsReader = (config: RootConfigService) =>
  | ({
      [Name in keyof KeycloakTokenManagerOptions]?: KeycloakTokenManagerOptions[Name] | undefined;
    } & {
      /** Whether the manager reports metrics and spans to OpenTelemetry. Default: `false`. */
      telemetry?: boolean | undefined;
    })
  | undefined;

/**
 * Options of {@link createKeycloakTokenManagerServiceRef}. Exactly one of `configKey` and `read` is
 * required.
 *
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   type KeycloakTokenManagerServiceRefOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * const options: KeycloakTokenManagerServiceRefOptions = {
 *   id: 'acme.tokens',
 *   configKey: 'acme.auth',
 *   knownKeys: ['tokenExchange'],
 * };
 * export const acmeTokensRef = createKeycloakTokenManagerServiceRef(options);
 * ```
 */
export interface KeycloakTokenManagerServiceRefOptions {
  /** The id of the service, unique in the backend. */
  id: string;
  /** The key of the section with the options, such as `acme.agents.auth`. */
  configKey?: string | undefined;
  /**
   * A function that reads the options from other keys, such as {@link readAugmentKagentiOptions}.
   */
  read?: KeycloakOptionsReader | undefined;
  /**
   * Keys of the section that belong to other code. The service does not read these keys. Any other
   * unknown key is an error. You cannot combine this option with `read`. Default: none.
   */
  knownKeys?: readonly string[] | undefined;
  /**
   * Whether plugins start even if the configuration contains no credentials. The service is then an
   * {@link OptionalKeycloakTokenManagerService}. For a partial section, the service logs one
   * warning. If the section is invalid, the plugins do not start. Default: false.
   */
  optional?: boolean | undefined;
  /** The manager's option `tokenFetch`. In a configuration file, this option can only be `true`. */
  tokenFetch?: true | TokenFetch | undefined;
}

/**
 * Creates a reference to an additional service, for a second realm or client. The service has a
 * default factory and takes its options from its own configuration section or from a function. The
 * package's configuration schema does not cover this section. The app or plugin that chooses the
 * key must declare `clientSecret` with secret visibility; otherwise, Backstage shows the secret in
 * logs. For the key `acme.auth`, the `package.json` of that app or plugin contains:
 *
 * ```json
 * "configSchema": { "type": "object", "properties": { "acme": { "type": "object", "properties": {
 *   "auth": { "type": "object", "properties": {
 *     "clientSecret": { "type": "string", "visibility": "secret" } } } } } } }
 * ```
 *
 * If the credentials are missing or partial, or an option is invalid, the plugins that depend on
 * the service fail to start with an `ERR_KEYCLOAK_CONFIG` error that names the cause and either the
 * key or the service.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for invalid arguments.
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   readAugmentKagentiOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * export const acmeTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'acme.tokens',
 *   configKey: 'acme.auth',
 * });
 * export const augmentTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'augment.tokens',
 *   read: readAugmentKagentiOptions,
 *   optional: true,
 * });
 * ```
 */
export function createKeycloakTokenManagerServiceRef<IsOptional extends boolean = false>(
  options: KeycloakTokenManagerServiceRefOptions & { optional?: IsOptional | undefined },
): ServiceRef<
  IsOptional extends true ? OptionalKeycloakTokenManagerService : KeycloakTokenManagerService,
  'plugin',
  'singleton'
>;

/**
 * Creates a reference to an additional service that provides several managers, with its own section
 * or limits.
 *
 * @param options `id`: the id of the service, unique in the backend. `configKey`: the section whose
 *   keys are the names of clients. Default: `keycloak.clients`. If you choose another section,
 *   declare its secrets as for {@link createKeycloakTokenManagerServiceRef}. `maxManagers`: the
 *   maximum number of open managers, an integer of at least 1. Default: 100. `idleTimeoutMs`: the
 *   time in milliseconds after which the service closes an unused manager, a number from 1 to
 *   2,147,483,647. Default: 600,000.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for invalid arguments.
 * @example
 * ```ts
 * import { createKeycloakTokenManagersServiceRef } from 'keycloak-token-manager/backstage';
 *
 * export const mcpManagersRef = createKeycloakTokenManagersServiceRef({
 *   id: 'mcp.managers',
 *   maxManagers: 500,
 *   idleTimeoutMs: 60_000,
 * });
 * ```
 */
export function createKeycloakTokenManagersServiceRef(options: {
  id: string;
  configKey?: string | undefined;
  maxManagers?: number | undefined;
  idleTimeoutMs?: number | undefined;
}): ServiceRef<KeycloakTokenManagersService, 'plugin', 'singleton'>;

/**
 * Reads a manager's options from a section of the configuration, for code that creates the manager
 * itself. Numbers and booleans may be strings, because `${NAME}` yields strings. Empty strings
 * count as absent. The manager checks the values; this function checks the keys and their types.
 * With `sharedCache: true` in the section, the options contain the store that all managers of this
 * backend share.
 *
 * @param key The key of the section. Default: `boost.kagenti.auth`.
 * @param options `knownKeys`: keys of the section that belong to other code. The function does not
 *   read these keys.
 * @returns `undefined` if the configuration has no such section, or if every key in the section is
 *   empty.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names the key of the section and
 *   each option that is missing, unknown or of the wrong type, but never a value.
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
  options?: { knownKeys?: readonly string[] | undefined },
): KeycloakTokenManagerOptions | undefined;

/**
 * Reads the configuration of the augment plugin: `auth.tokenEndpoint`, `auth.clientId` and
 * `auth.clientSecret`, and the keys `skipTlsVerify`, `tokenExpiryBufferSeconds` and `baseUrl` next
 * to `auth`. `baseUrl` becomes `resource.baseUrl`. The function also reads `auth.sharedCache` and
 * `auth.storeKey`. It does not read the plugin's time limits, because they apply to the API.
 *
 * @param key The key of the section. Default: `augment.kagenti`.
 * @returns `undefined` if none of the three credentials has a value.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names the key and the fault.
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   readAugmentKagentiOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * export const kagentiTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'augment.kagenti.tokens',
 *   read: readAugmentKagentiOptions,
 * });
 * ```
 */
export function readAugmentKagentiOptions(
  config: RootConfigService,
  key?: string,
): KeycloakTokenManagerOptions | undefined;

/**
 * Reads the configuration of the cost-management plugin: `clientId`, `clientSecret` and
 * `ssoBaseUrl` (default: `https://sso.redhat.com`). The realm is `redhat-external`, and the scope
 * is `api.console`. The function also reads `sharedCache` and `storeKey`.
 *
 * @param key The key of the section. Default: `costManagement`.
 * @returns `undefined` if neither `clientId` nor `clientSecret` has a value.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names the key and the fault.
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   readCostManagementOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * export const consoleTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'cost-management.tokens',
 *   read: readCostManagementOptions,
 * });
 * ```
 */
export function readCostManagementOptions(
  config: RootConfigService,
  key?: string,
): KeycloakTokenManagerOptions | undefined;

/**
 * Reads a provider of the catalog module for Keycloak: `baseUrl`, `loginRealm` (default: `master`),
 * `clientId` and `clientSecret`. `baseUrl` also becomes `resource.baseUrl`, for calls to the admin
 * API. The function also reads `sharedCache` and `storeKey`.
 *
 * @param id The id of the provider, below `catalog.providers.keycloakOrg`. Default: `default`.
 * @returns `undefined` if neither `clientId` nor `clientSecret` has a value.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the provider is incomplete or invalid, or
 *   if it has `username` but no `clientSecret`. The message names the key and the fault.
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   readKeycloakOrgOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * export const staffTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'catalog.keycloak.staff',
 *   read: (config) => readKeycloakOrgOptions(config, 'staff'),
 * });
 * ```
 */
export function readKeycloakOrgOptions(
  config: RootConfigService,
  id?: string,
): KeycloakTokenManagerOptions | undefined;

/**
 * Reads a section with the keys `tokenUrl`, `clientId`, `clientSecret` and `scopes` (a string or a
 * list), as OpenChoreo and other plugins use them. The function also reads `sharedCache` and
 * `storeKey`, and no other key.
 *
 * @param key The key of the section.
 * @returns `undefined` if neither `tokenUrl` nor `clientId` nor `clientSecret` has a value.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`. The message names the key and the fault.
 * @example
 * ```ts
 * import {
 *   createKeycloakTokenManagerServiceRef,
 *   readOAuthClientOptions,
 * } from 'keycloak-token-manager/backstage';
 *
 * export const openChoreoTokensRef = createKeycloakTokenManagerServiceRef({
 *   id: 'openchoreo.tokens',
 *   read: (config) => readOAuthClientOptions(config, 'openchoreo.auth'),
 *   optional: true,
 * });
 * ```
 */
export function readOAuthClientOptions(
  config: RootConfigService,
  key: string,
): KeycloakTokenManagerOptions | undefined;
