import { coreServices, createBackendPlugin } from '@backstage/backend-plugin-api';
import { KeycloakTokenManager } from 'keycloak-token-manager';
import {
  createKeycloakTokenManagerServiceRef,
  type KeycloakTokenManagerService,
  keycloakTokenManagerServiceFactory,
  keycloakTokenManagerServiceRef,
  readKeycloakTokenManagerOptions,
} from 'keycloak-token-manager/backstage';

const further = createKeycloakTokenManagerServiceRef({ id: 'acme', configKey: 'acme.auth' });

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
      },
      async init({ config, tokens, others }) {
        const same: KeycloakTokenManagerService[] = [tokens, others];
        for (const { pluginId } of same) pluginId.toUpperCase();
        const token: string = await tokens.getToken({ minValiditySeconds: 10 });
        const age: number | undefined = tokens.snapshot().tokenAgeSeconds;
        await tokens.close();
        const options = readKeycloakTokenManagerOptions(config, 'acme.auth');
        if (options !== undefined) new KeycloakTokenManager(options);
        // @ts-expect-error: a view returns strings, not numbers.
        const wrong: number = await tokens.getToken();
        // @ts-expect-error: the key is required.
        createKeycloakTokenManagerServiceRef({ id: 'acme' });
        void [token, age, wrong];
      },
    });
  },
});
