'use strict';

// Checks the installed package and the options. The manager itself checks its options.

const { failed, messageOf, ok, warning } = require('../finding.js');
const { OF_A_SERVICE } = require('../options.js');
const { chooseProxy } = require('../proxy-choice.js');
const { version } = require('../../../package.json');

/**
 * This limit is shorter than a step's time limit, so that the step can report the manager's error.
 */
const REQUEST_LIMIT_MS = 2_800;

/**
 * Returns the options of the manager that requests the token. This manager always verifies
 * certificates.
 */
function managerOptions(options) {
  const kept = Object.entries(options).filter(([name]) => !OF_A_SERVICE.includes(name));
  return {
    ...Object.fromEntries(kept),
    skipTlsVerify: false,
    backgroundRefresh: false,
    requestTimeoutMs: REQUEST_LIMIT_MS,
  };
}

const installation = {
  name: 'package',
  run(context) {
    const node = `Node ${process.versions.node} on ${process.platform}-${process.arch}`;
    try {
      context.KeycloakTokenManager = require('../../../index.js').KeycloakTokenManager;
    } catch ({ message }) {
      return failed(message.split('\n')[0], 'install the package again on this system');
    }
    return ok(`keycloak-token-manager ${version}, ${node}`);
  },
};

const options = {
  name: 'options',
  needs: ['package'],
  async run(context) {
    const { input } = context;
    let collected;
    try {
      collected = await input();
    } catch (error) {
      if (error.isUsage) throw error;
      return failed(messageOf(error), 'correct the configuration');
    }
    Object.assign(context, collected);
    const { missing } = collected;
    if (missing.length > 0 && !collected.isComplete) return failed(...withoutVariables(missing));
    const warnings = [];
    const logger = warningLogger((text) => warnings.push(text));
    try {
      const made = new context.KeycloakTokenManager({
        ...managerOptions(collected.options),
        logger,
      });
      context.manager = made;
    } catch (error) {
      return failed(messageOf(error), 'correct the options');
    }
    context.target = new URL(collected.options.tokenEndpoint ?? collected.options.issuer);
    context.proxy = chooseProxy(context.target, collected.options.proxy, context.env);
    if (missing.length > 0) return warning(...withoutVariables(missing));
    return summary(context, collected.notes, warnings);
  },
};

/** Returns the text and the advice for the missing variables of a configuration. */
function withoutVariables(missing) {
  const texts = missing.map(
    ({ file, key, name, isEmpty }) =>
      `${file}: ${key} needs the environment variable ${name}, which is ` +
      `${isEmpty ? 'empty' : 'not set'} for this command`,
  );
  const names = Array.from(new Set(missing.map(({ name }) => name))).join(', ');
  return [
    texts.join('; '),
    `set ${names} for this command, and check that the backend has the same value`,
  ];
}

/** Returns a logger that passes on the manager's warnings, without the manager's name. */
const warningLogger = (take) => ({
  error() {},
  warn: (line) => take(line.replace(/^Keycloak token manager ".*?": /, '')),
  info() {},
  debug() {},
});

function summary({ options: given, sources, isVerifying }, notes, warnings) {
  const text = [...sources, ...notes].join('; ');
  if (given.skipTlsVerify === true || !isVerifying) {
    const source = given.skipTlsVerify === true ? 'skipTlsVerify' : 'NODE_TLS_REJECT_UNAUTHORIZED';
    return warning(
      `${text}; ${source} turns off certificate verification`,
      `remove ${source} once the step "TLS" succeeds; this command always verifies certificates`,
    );
  }
  if (warnings.length > 0) {
    return warning(
      [text, ...warnings].join('; '),
      'correct the option that the warning names, or ignore the warning if the value is intended',
    );
  }
  return ok(text);
}

module.exports = { steps: [installation, options], managerOptions, warningLogger };
