// Replaces an app's auth plugin: publishes the key that verifies the tokens of signed-in users. The
// example signs such a token itself, because it has no sign-in page.

const { coreServices, createBackendPlugin } = require('@backstage/backend-plugin-api');
const express = require('express');

module.exports = createBackendPlugin({
  pluginId: 'auth',
  register(env) {
    env.registerInit({
      deps: { config: coreServices.rootConfig, httpRouter: coreServices.httpRouter },
      async init({ config, httpRouter }) {
        const key = JSON.parse(config.getString('example.userKey'));
        const router = express.Router();
        router.get('/.well-known/jwks.json', (_request, response) => {
          response.json({ keys: [key] });
        });
        httpRouter.use(router);
        httpRouter.addAuthPolicy({ path: '/.well-known', allow: 'unauthenticated' });
      },
    });
  },
});
