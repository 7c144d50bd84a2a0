'use strict';

// The packages of dist/ in a Backstage backend.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { setStage } = require('../../examples/backstage-plugin/stage.js');
const { installByHand, readMain, readOwnPlatform } = require('./support/dist.js');
const { LIMIT_MS } = require('./support/project.js');

describe('the published packages', { timeout: 6 * LIMIT_MS }, () => {
  it('serve a Backstage backend and its plugin', async (t) => {
    const { api, end, output, url, userToken } = await setStage({
      embedded: true,
      install: (folder) => installByHand(folder, readMain(), readOwnPlatform()),
      log: (line) => t.diagnostic(line),
    });
    try {
      const response = await fetch(url, { headers: { authorization: `Bearer ${userToken}` } });
      assert.equal(response.status, 200, `${await response.text()}\n${output()}`);
      assert.ok(api.requests.length > 0);
    } finally {
      await end();
    }
  });
});
