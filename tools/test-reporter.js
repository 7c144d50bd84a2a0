'use strict';

// A reporter for `node --test` that writes JSON at the end: the number of passed tests, and the
// names of failed and skipped tests, with the reason. Suites that contain tests do not count.

module.exports = async function* report(events) {
  const summary = { passed: 0, failed: [], leftOut: [] };
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { name, details, skip, todo } = data;
    const why = skip ?? todo;
    if (why !== undefined) summary.leftOut.push(`${name} (${why})`);
    else if (details?.type === 'suite') continue;
    else if (type === 'test:pass') summary.passed += 1;
    else summary.failed.push(`${name} (${firstLineOf(details?.error)})`);
  }
  yield JSON.stringify(summary);
};

/**
 * Returns the first line of an error. Node reports the error that a test threw as the cause of
 * another error.
 */
function firstLineOf(error) {
  return String((error?.cause ?? error)?.message ?? error).split('\n')[0];
}
