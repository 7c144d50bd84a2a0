'use strict';

// A reporter for `node --test`, beside the readable one: a line of JSON for every test that failed
// or was left out, and one with the number of those that passed.

module.exports = async function* report(events) {
  let passed = 0;
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { name, details } = data;
    const why = data.skip ?? data.todo;
    if (why !== undefined) {
      const given = typeof why === 'string' && why !== '';
      yield `${JSON.stringify({ name, leftOut: given ? why : 'no reason given' })}\n`;
      continue;
    }
    // A suite fails with its tests.
    if (details?.type === 'suite') continue;
    if (type === 'test:fail') yield `${JSON.stringify({ name, failed: true })}\n`;
    else passed += 1;
  }
  yield `${JSON.stringify({ passed })}\n`;
};
