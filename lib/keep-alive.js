'use strict';

const native = require('./native.js');

// The managers with waiting callers. The set keeps these managers and the event loop alive.
const waiting = new Set();

function keepAlive(manager, isWaitedFor) {
  const wasEmpty = waiting.size === 0;
  if (isWaitedFor) waiting.add(manager);
  else waiting.delete(manager);
  const isEmpty = waiting.size === 0;
  if (isEmpty !== wasEmpty) native.hold(!isEmpty);
}

module.exports = { keepAlive };
