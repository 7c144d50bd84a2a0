const express = require('express');

function createRouter({ httpAuth, tokenManager }) {
  /** Forwards a call to the API on behalf of the signed-in user, and returns the answer. */
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

  const router = express.Router();
  router.get('/agents', forward('GET'));
  router.post('/agents', express.json(), forward('POST'));
  return router;
}

module.exports = { createRouter };
