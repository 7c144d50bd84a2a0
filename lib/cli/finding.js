'use strict';

// The result of a step: its state, a sentence and, if there is a problem, the advice. `details`
// contains further values by name.

const { KeycloakTokenError } = require('../error.js');
const { ConfigurationError } = require('./backstage-config.js');

const ok = (text, details) => ({ state: 'ok', text, details });
const warning = (text, advice, details) => ({ state: 'warning', text, advice, details });
const failed = (text, advice, details) => ({ state: 'failed', text, advice, details });

/** The time limit of a step. */
const STEP_LIMIT_MS = 3_000;
/**
 * The last part of the time limit, in which an aborted operation can still return a finding with
 * advice.
 */
const LAST_WORD_MS = 100;

/** Texts for the codes of system errors. */
const FAULTS = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection ended before a response arrived',
  EPIPE: 'the connection ended before a response arrived',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'the network has no route to the host',
  ENETUNREACH: 'the network is unreachable',
  EACCES: 'the system does not permit the connection',
};

/** Returns a text for a failed connection or request. */
function faultOf(error, redactor) {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') {
    return `no response within ${STEP_LIMIT_MS / 1_000} s`;
  }
  const { code } = error;
  if (FAULTS[code] !== undefined) return `${FAULTS[code]} (${code})`;
  return redactor.show(code === undefined ? error.message : `${error.message} (${code})`);
}

/** Replaces the text of an unexpected error, which may quote a file with a secret. */
const UNEXPECTED = 'an unexpected error (its text is not shown, because it may contain a secret)';

/** Returns the message of this package's own errors, and a fixed text for any other error. */
function messageOf(error) {
  const isOwn = error instanceof KeycloakTokenError || error instanceof ConfigurationError;
  return isOwn ? error.message : UNEXPECTED;
}

/**
 * Runs the steps in order and yields `{ step, took, ...finding }`. If a step needs another step
 * that failed or was skipped, its state is `skipped`. A step that does not apply, or returns no
 * finding, is absent from the result.
 */
async function* runSteps(steps, context) {
  const blocked = new Set();
  for (const { name, needs = [], applies = () => true, run } of steps) {
    if (!applies(context)) continue;
    if (needs.some((needed) => blocked.has(needed))) {
      blocked.add(name);
      yield { step: name, state: 'skipped' };
      continue;
    }
    const started = performance.now();
    const finding = await limited(run, context);
    const took = Math.round(performance.now() - started);
    if (finding === undefined) continue;
    if (finding.state === 'failed') blocked.add(name);
    yield { step: name, took, ...finding };
  }
}

async function limited(run, context) {
  const signal = AbortSignal.timeout(STEP_LIMIT_MS - LAST_WORD_MS);
  let timer;
  // Not every operation ends when the signal aborts: a name look-up continues.
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(signal.reason), STEP_LIMIT_MS);
  });
  try {
    return await Promise.race([run(context, signal), late]);
  } catch (error) {
    // Reading the options may reveal a mistake in the arguments.
    if (error.isUsage) throw error;
    const advice = 'check firewalls, network policies and the server';
    return failed(faultOf(error, context.redactor), advice);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { STEP_LIMIT_MS, failed, faultOf, messageOf, ok, runSteps, warning };
