'use strict';

/**
 * Calls the user's secret function. Returns either `secret`, or `fault`, a text without any value;
 * also `error` if the function threw an error.
 */
async function callSecretFunction(secretFunction) {
  let secret;
  try {
    secret = await secretFunction();
  } catch (error) {
    return { fault: 'the clientSecret function failed; see cause', error };
  }
  if (typeof secret === 'string' && secret !== '') return { secret };
  const got = secret === '' ? 'an empty string' : secret === null ? 'null' : typeof secret;
  return { fault: `the clientSecret function must return a non-empty string, but returned ${got}` };
}

module.exports = { callSecretFunction };
