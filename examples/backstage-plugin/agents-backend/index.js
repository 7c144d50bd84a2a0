// A plugin that calls one API as the backend's service account, and another API as the signed-in
// user. It sets no auth policy, so Backstage answers 401 to callers without credentials.

const { coreServices, createBackendPlugin } = require('@backstage/backend-plugin-api');
const { keycloakTokenManagerServiceRef } = require('keycloak-token-manager/backstage');
const { createRouter } = require('./router.js');

module.exports = createBackendPlugin({
  pluginId: 'agents',
  register(env) {
    env.registerInit({
      deps: {
        config: coreServices.rootConfig,
        httpAuth: coreServices.httpAuth,
        httpRouter: coreServices.httpRouter,
        tokenManager: keycloakTokenManagerServiceRef,
      },
      async init({ config, httpAuth, httpRouter, tokenManager }) {
        const runsApiUrl = config.getString('agents.runsApiUrl');
        httpRouter.use(createRouter({ httpAuth, tokenManager, runsApiUrl }));
      },
    });
  },
});
