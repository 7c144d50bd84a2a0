const { AuthenticationError } = require('@backstage/errors');
const express = require('express');

/** The header in which the frontend sends the access token of the user's Keycloak session. */
const KEYCLOAK_TOKEN = 'x-keycloak-token';

function createRouter({ httpAuth, tokenManager, runsApiUrl }) {
  /** Calls the agents API as the service, and names the signed-in user in a header. */
  const forward = (method) => async (request, response, next) => {
    try {
      // The user comes from credentials that Backstage has verified, never from the request itself.
      const { principal } = await httpAuth.credentials(request, { allow: ['user'] });
      const init = { method, backstageUser: principal.userEntityRef };
      if (method === 'POST') {
        init.headers = { 'content-type': 'application/json' };
        init.body = JSON.stringify(request.body);
      }
      const answer = await tokenManager.fetch('/api/v1/agents', init);
      response.status(answer.status).json(await answer.json());
    } catch (error) {
      next(error);
    }
  };

  /** Calls the runs API as the user, with a token that Keycloak issued for the user. */
  async function listRuns(request, response, next) {
    try {
      const userToken = await keycloakTokenOf(request);
      const resource = { baseUrl: runsApiUrl };
      const runs = tokenManager.onBehalfOf(userToken, { audience: 'runs-api', resource });
      const answer = await runs.fetch('runs');
      response.status(answer.status).json(await answer.json());
    } catch (error) {
      // Keycloak refuses the user's token, because the session has ended.
      const isSignedOut = error.oauthErrorDescription === 'Invalid token';
      next(isSignedOut ? new AuthenticationError('sign in to Keycloak again') : error);
    }
  }

  /** Drops the tokens of a user who signs out. */
  async function signOut(request, response, next) {
    try {
      tokenManager.forgetSubject(await keycloakTokenOf(request));
      response.status(204).end();
    } catch (error) {
      next(error);
    }
  }

  async function keycloakTokenOf(request) {
    // The Keycloak token does not replace Backstage's credentials.
    await httpAuth.credentials(request, { allow: ['user'] });
    const token = request.get(KEYCLOAK_TOKEN);
    if (!token) throw new AuthenticationError(`the header ${KEYCLOAK_TOKEN} is missing`);
    return token;
  }

  const router = express.Router();
  router.get('/agents', forward('GET'));
  router.post('/agents', express.json(), forward('POST'));
  router.get('/runs', listRuns);
  router.post('/sign-out', signOut);
  return router;
}

module.exports = { createRouter };
