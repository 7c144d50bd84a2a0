'use strict';

const { startFakeTokenEndpoint } = require('../../lib/testing');
const { CLIENT } = require('../support/manager.js');

/**
 * Starts a fake endpoint for one test file and restores it after each test; `open` creates a
 * manager for the endpoint.
 */
function useEndpoint(options) {
  const parts = {
    open: ({ KeycloakTokenManager }, more) => {
      const { tokenEndpoint } = parts.endpoint;
      return new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, ...more });
    },
  };
  beforeAll(async () => {
    parts.endpoint = await startFakeTokenEndpoint(options);
  });
  afterEach(() => {
    parts.endpoint.restore();
    parts.endpoint.resume();
  });
  afterAll(() => parts.endpoint.close());
  return parts;
}

module.exports = { useEndpoint };
