'use strict';

// The commands. Each returns the exit status.

const { text: readAll } = require('node:stream/consumers');
const { adviceFor } = require('./advice.js');
const { UsageError } = require('./arguments.js');
const { failed, messageOf, runSteps } = require('./finding.js');
const { hostOf, isLoopback } = require('./proxy-choice.js');
const { Redactor } = require('./redactor.js');
const { JsonReport, TextReport } = require('./report.js');
const { addSecrets, askSecret, collect } = require('./sources.js');

const [OK, PROBLEM] = [0, 1];
/** The start of the manager's warning about a token request that failed. */
const FAILURE = 'the refresh failed: ';

const reportFor = ({ json }, { stdout, env }) =>
  json ? new JsonReport(stdout) : new TextReport(stdout, env);

/** Runs all steps, and reports each step's finding as soon as the step ends. */
async function doctor(parsed, system) {
  const { flags } = parsed;
  // Asks before the steps, because the user's answer may take longer than a step's time limit.
  const given = await askSecret(parsed, system);
  const redactor = new Redactor();
  const context = {
    ...pick(system),
    redactor,
    api: flags.api === undefined ? undefined : apiUrl(flags.api),
    showToken: flags['show-token'] === true,
    async input() {
      const collected = await collect({ flags, given }, system);
      addSecrets(redactor, collected.options, system.env);
      return collected;
    },
  };
  const report = reportFor(flags, system);
  let status = OK;
  for await (const finding of runSteps(require('./steps/index.js'), context)) {
    if (finding.state === 'failed') status = PROBLEM;
    report.add(finding);
  }
  await context.manager?.close();
  return report.end(status);
}

const pick = ({ env, startEnv, isVerifying }) => ({ env, startEnv, isVerifying });

/** Returns the URL of the flag `--api`, which receives the token. */
function apiUrl(text) {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(hostOf(url)));
  if (!isSafe) throw new UsageError('--api: expected an https URL, or an http URL of this machine');
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('--api: expected a URL without a user name or password');
  }
  return url;
}

/** Prints a token, and nothing else, to standard output. */
async function token(parsed, system) {
  const { KeycloakTokenManager } = require('../../index.js');
  const { warningLogger } = require('./steps/options.js');
  const { stderr, stdout } = system;
  let manager;
  try {
    const given = await askSecret(parsed, system);
    const { options, missing, isComplete } = await collect({ flags: parsed.flags, given }, system);
    if (missing.length > 0 && !isComplete) {
      const names = Array.from(new Set(missing.map(({ name }) => name)));
      stderr.write(`these environment variables are unset or empty: ${names.join(', ')}\n`);
      return PROBLEM;
    }
    // The command always verifies certificates.
    const logger = warningLogger((text) => {
      // The command reports the failure itself.
      if (!text.startsWith(FAILURE)) stderr.write(`warning: ${text}\n`);
    });
    manager = new KeycloakTokenManager({ ...options, skipTlsVerify: false, logger });
    stdout.write(`${await manager.getToken()}\n`);
    return OK;
  } catch (error) {
    if (error.isUsage) throw error;
    const advice = error.code === 'ERR_KEYCLOAK_CONFIG' ? 'correct the options' : adviceFor(error);
    stderr.write(`${messageOf(error)}\nadvice: ${advice}, or run keycloak-token-manager doctor\n`);
    return PROBLEM;
  } finally {
    await manager?.close();
  }
}

/** Reads a token from standard input and explains it. */
async function decode({ flags }, system) {
  const { explainToken } = require('./steps/token.js');
  const { decode: parse } = require('./claims.js');
  const given = (await readAll(system.stdin)).trim().replace(/^Bearer\s+/i, '');
  const redactor = new Redactor();
  redactor.add(given.split('.')[2] ?? given);
  const report = reportFor(flags, system);
  const isJwt = parse(given) !== undefined;
  const finding = isJwt
    ? explainToken(given, { redactor })
    : failed(
        given === ''
          ? 'the standard input is empty'
          : `the standard input is not a JWT (${given.length} characters)`,
        'pass an access token: keycloak-token-manager token | keycloak-token-manager decode',
      );
  report.add({ step: 'token', ...finding });
  return report.end(isJwt ? OK : PROBLEM);
}

module.exports = { decode, doctor, token };
