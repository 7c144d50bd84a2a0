'use strict';

/**
 * Calls the user's secret function. Gives `secret`, or `fault`, a text without any value in it, and
 * `error` if the function threw one.
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
  return { fault: `the clientSecret function must give a non-empty string, but gave ${got}` };
}

module.exports = { callSecretFunction };
