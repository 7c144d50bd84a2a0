'use strict';

/**
 * Calls the user's secret function. Returns either the `secret`, or a `fault`, a text that shows no
 * secret. If the function threw an error, returns that error as `error`, too.
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
