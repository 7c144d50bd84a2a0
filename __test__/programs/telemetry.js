'use strict';

// Adds subscribers that throw. Prints the tokens that callers got, and the exceptions that reached
// the process.

const { subscribe } = require('node:diagnostics_channel');
const { KeycloakTokenManager } = require('../..');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { CLIENT, numbered } = require('../support/manager.js');

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

async function main() {
  const thrown = [];
  process.on('uncaughtException', ({ message }) => thrown.push(message));
  const names = EVENTS.map((event) => `tracing:keycloak-token-manager:acquisition:${event}`);
  for (const name of [...names, 'keycloak-token-manager:invalidation']) {
    subscribe(name, () => {
      throw new Error('a subscriber that throws');
    });
  }
  const endpoint = await startFakeTokenEndpoint();
  endpoint.setAnswer(numbered());
  const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint: endpoint.tokenEndpoint });
  const tokens = [await manager.getToken()];
  manager.invalidateToken(tokens[0]);
  tokens.push(await manager.getToken());
  await manager.close();
  await endpoint.close();
  console.log(JSON.stringify({ thrown, tokens }));
}

main();
