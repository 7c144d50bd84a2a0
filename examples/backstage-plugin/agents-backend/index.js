// A plugin that calls an API as the backend's service account, on behalf of the signed-in user. It
// sets no auth policy: Backstage then answers 401 to callers without credentials.

const { coreServices, createBackendPlugin } = require('@backstage/backend-plugin-api');
const { keycloakTokenManagerServiceRef } = require('keycloak-token-manager/backstage');
const { createRouter } = require('./router.js');

module.exports = createBackendPlugin({
  pluginId: 'agents',
  register(env) {
    env.registerInit({
      deps: {
        httpAuth: coreServices.httpAuth,
        httpRouter: coreServices.httpRouter,
        tokenManager: keycloakTokenManagerServiceRef,
      },
      async init({ httpAuth, httpRouter, tokenManager }) {
        httpRouter.use(createRouter({ httpAuth, tokenManager }));
      },
    });
  },
});
