'use strict';

// A reporter for `node --test` that writes one line of JSON for every test, but not for suites that
// contain tests: `{ name, result, why? }`.

module.exports = async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { name, details, skip, todo } = data;
    const why = skip ?? todo;
    if (why !== undefined) {
      yield `${JSON.stringify({ name, result: 'left out', why: String(why) })}\n`;
    } else if (details?.type !== 'suite') {
      yield `${JSON.stringify({ name, result: type === 'test:pass' ? 'passed' : 'failed' })}\n`;
    }
  }
};
