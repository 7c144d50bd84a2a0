'use strict';

/**
 * Calls the user's secret function, or another function that returns a secret. Returns either the
 * `secret`, or a `fault`: an error message that never contains the secret. If the function threw an
 * error, also returns that error as `error`.
 */
async function callSecretFunction(secretFunction, name = 'clientSecret') {
  let secret;
  try {
    secret = await secretFunction();
  } catch (error) {
    return { fault: `the ${name} function failed; see cause`, error };
  }
  if (typeof secret === 'string' && secret !== '') return { secret };
  const got = secret === '' ? 'an empty string' : secret === null ? 'null' : typeof secret;
  return { fault: `the ${name} function must return a non-empty string, but returned ${got}` };
}

module.exports = { callSecretFunction };
