// A plugin that calls an API as the backend's service account, on behalf of the user who calls it.

const { coreServices, createBackendPlugin } = require('@backstage/backend-plugin-api');
const { keycloakTokenManagerServiceRef } = require('keycloak-token-manager/backstage');
const { createRouter } = require('./router.js');

module.exports = createBackendPlugin({
  pluginId: 'agents',
  register(env) {
    env.registerInit({
      deps: {
        auth: coreServices.auth,
        httpAuth: coreServices.httpAuth,
        httpRouter: coreServices.httpRouter,
        tokenManager: keycloakTokenManagerServiceRef,
      },
      async init({ auth, httpAuth, httpRouter, tokenManager }) {
        httpRouter.use(createRouter({ auth, httpAuth, tokenManager }));
        httpRouter.addAuthPolicy({ path: '/agents', allow: 'unauthenticated' });
      },
    });
  },
});
