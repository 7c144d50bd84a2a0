'use strict';

// A worker that is terminated while its managers wait for their first token.

const { workerData } = require('node:worker_threads');
const { make } = require('./make.js');
const { WORKER_CLIENT_ID } = require('./table.js');

const logger = { error() {}, warn() {}, info() {}, debug() {} };
for (const [side, url] of Object.entries(workerData.urls)) {
  make(side, url, { ...workerData, clientId: WORKER_CLIENT_ID, logger }).getToken();
}
