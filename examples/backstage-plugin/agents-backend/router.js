const express = require('express');

const GUEST = 'user:default/guest';

function createRouter({ auth, httpAuth, tokenManager }) {
  /** Who calls: the user whom Backstage knows, otherwise a guest. */
  async function userOf(request) {
    const credentials = await httpAuth.credentials(request, { allow: ['user', 'none'] });
    return auth.isPrincipal(credentials, 'user') ? credentials.principal.userEntityRef : GUEST;
  }

  /** Passes a call on to the API, and its answer back. */
  const forward = (method) => async (request, response, next) => {
    try {
      const backstageUser = await userOf(request);
      const init = { method, backstageUser };
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

  const router = express.Router();
  router.get('/agents', forward('GET'));
  router.post('/agents', express.json(), forward('POST'));
  return router;
}

module.exports = { createRouter };
