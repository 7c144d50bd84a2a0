// A backend with a careless plugin, which logs the secret on request.

const { createBackend } = require('@backstage/backend-defaults');
const { coreServices, createBackendPlugin } = require('@backstage/backend-plugin-api');
const express = require('express');
const { keycloakTokenManagerServiceRef } = require('keycloak-token-manager/backstage');

const plugin = createBackendPlugin({
  pluginId: 'careless',
  register(env) {
    env.registerInit({
      deps: {
        config: coreServices.rootConfig,
        httpRouter: coreServices.httpRouter,
        logger: coreServices.logger,
        tokens: keycloakTokenManagerServiceRef,
      },
      async init({ config, httpRouter, logger, tokens }) {
        const router = express.Router();
        router.post('/log/:label', (request, response) => {
          const secret = config.getString('boost.kagenti.auth.clientSecret');
          logger.info(`${request.params.label} <${secret}>`, { secret });
          response.json({});
        });
        router.post('/token', async (_request, response) => {
          tokens.clearCache();
          const answer = await tokens.getToken().then(
            () => ({ status: 200 }),
            ({ code, message }) => ({ status: 500, code, message }),
          );
          response.status(answer.status).json(answer);
        });
        httpRouter.use(router);
        httpRouter.addAuthPolicy({ path: '/', allow: 'unauthenticated' });
      },
    });
  },
});

const backend = createBackend();
backend.add(plugin);
backend.start();
