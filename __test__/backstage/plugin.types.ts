import {
  coreServices,
  createBackendPlugin,
  type RootConfigService,
} from '@backstage/backend-plugin-api';
import { KeycloakTokenManager } from 'keycloak-token-manager';
import {
  createKeycloakTokenManagerServiceRef,
  createKeycloakTokenManagersServiceRef,
  type KeycloakTokenManagerService,
  keycloakTokenManagerServiceFactory,
  keycloakTokenManagerServiceRef,
  keycloakTokenManagersServiceRef,
  readAugmentKagentiOptions,
  readKeycloakOrgOptions,
  readKeycloakTokenManagerOptions,
  readOAuthClientOptions,
} from 'keycloak-token-manager/backstage';

const further = createKeycloakTokenManagerServiceRef({ id: 'acme', configKey: 'acme.auth' });

const read = createKeycloakTokenManagerServiceRef({
  id: 'a',
  read: (config) => readKeycloakOrgOptions(config, 'b') ?? readAugmentKagentiOptions(config),
});
const maybe = createKeycloakTokenManagerServiceRef({
  id: 'b',
  read: (config) => ({ clientId: config.getOptionalString('a'), tokenFetch: fetch }),
  optional: true,
});
const limited = createKeycloakTokenManagersServiceRef({ id: 'c', maxManagers: 5 });
// @ts-expect-error: a reader returns no promise.
createKeycloakTokenManagerServiceRef({ id: 'd', read: async () => ({ clientId: 'a' }) });
// @ts-expect-error: the key has no default.
export const options = (config: RootConfigService) => readOAuthClientOptions(config);

export const factory: typeof keycloakTokenManagerServiceFactory =
  keycloakTokenManagerServiceFactory;

export default createBackendPlugin({
  pluginId: 'acme',
  register(env) {
    env.registerInit({
      deps: {
        config: coreServices.rootConfig,
        tokens: keycloakTokenManagerServiceRef,
        others: further,
        read,
        maybe,
        managers: keycloakTokenManagersServiceRef,
        limited,
      },
      async init({ config, tokens, others, read, maybe, managers, limited }) {
        const same: KeycloakTokenManagerService[] = [tokens, others, read];
        const optional: KeycloakTokenManagerService | undefined = maybe.manager;
        // @ts-expect-error: there may be no manager.
        await maybe.manager.getToken();
        await managers.get('a').withResource({ baseUrl: 'https://a' }).fetch('b');
        const size: number = limited.size;
        const wasOpen: boolean = await managers.close('a');
        void [optional, size, wasOpen, managers.getFor({ clientId: 'a' }).pluginId];
        for (const { pluginId } of same) pluginId.toUpperCase();
        const token: string = await tokens.getToken({ minValiditySeconds: 10 });
        const age: number | undefined = tokens.snapshot().tokenAgeSeconds;
        await tokens.close();
        const options = readKeycloakTokenManagerOptions(config, 'acme.auth');
        if (options !== undefined) new KeycloakTokenManager(options);
        // @ts-expect-error: a view returns strings, not numbers.
        const wrong: number = await tokens.getToken();
        // @ts-expect-error: the id is required.
        createKeycloakTokenManagerServiceRef({ configKey: 'acme' });
        void [token, age, wrong];
      },
    });
  },
});
