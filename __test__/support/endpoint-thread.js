'use strict';

// An endpoint on a thread of its own, so that it answers while the thread of the test is blocked.

const { parentPort } = require('node:worker_threads');
const { startFakeTokenEndpoint } = require('../../lib/testing');

startFakeTokenEndpoint().then((endpoint) => parentPort.postMessage(endpoint.tokenEndpoint));
