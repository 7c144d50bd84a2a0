'use strict';

// Checks the arguments that a test passes to the endpoint, because a mistake could make the test
// pass for the wrong reason. Messages name the argument but never show its value, which may be a
// secret.

const http = require('node:http');
const { isUint8Array } = require('node:util/types');
const { faults } = require('./faults.js');

const FAULTS = Object.keys(faults).filter((fault) => fault !== 'none');
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const LONGEST_TOKEN_BYTES = 10_000_000;

function refuse(name, expected) {
  throw new TypeError(`${name} must be ${expected}`);
}

const isObject = (value) => typeof value === 'object' && value !== null;
const isText = (value) => typeof value === 'string' && value !== '';
const isPem = (value) => isText(value) || (isUint8Array(value) && value.length > 0);
const isIntegerIn = (value, least, most) =>
  Number.isInteger(value) && value >= least && value <= most;

const checks = {
  realm(value, name) {
    const expected = 'made of letters, digits, ".", "_" and "-", and not only of dots';
    if (typeof value !== 'string' || !/^[\w.-]+$/.test(value) || /^\.+$/.test(value)) {
      refuse(name, expected);
    }
  },
  text(value, name) {
    if (!isText(value)) refuse(name, 'a non-empty string');
  },
  clients(value, name) {
    const expected = 'an object of one or more non-empty secrets, keyed by non-empty client ids';
    if (!isObject(value)) refuse(name, expected);
    const entries = Object.entries(value).flat();
    if (entries.length === 0 || !entries.every(isText)) refuse(name, expected);
  },
  seconds(value, name) {
    if (!Number.isFinite(value)) refuse(name, 'a finite number of seconds');
  },
  delay(value, name) {
    if (!(Number.isFinite(value) && value >= 0 && value <= LONGEST_TIMER_MS)) {
      refuse(name, `a number of milliseconds from 0 to ${LONGEST_TIMER_MS}`);
    }
  },
  interval(value, name) {
    if (!(Number.isFinite(value) && value >= 1 && value <= LONGEST_TIMER_MS)) {
      refuse(name, `a number of milliseconds from 1 to ${LONGEST_TIMER_MS}`);
    }
  },
  roles(value, name) {
    if (!Array.isArray(value) || !value.every(isText)) {
      refuse(name, 'an array of non-empty strings');
    }
  },
  tls(value, name) {
    if (!isObject(value) || !isPem(value.key) || !isPem(value.cert)) {
      refuse(name, 'an object with a PEM key and a PEM cert');
    }
  },
  tokenSize(value, name) {
    if (!isIntegerIn(value, 0, LONGEST_TOKEN_BYTES)) {
      refuse(name, `an integer from 0 to ${LONGEST_TOKEN_BYTES}`);
    }
  },
  count(value, name) {
    if (!isIntegerIn(value, 1, Number.MAX_SAFE_INTEGER)) refuse(name, 'an integer of at least 1');
  },
  status(value, name) {
    if (!isIntegerIn(value, 200, 599)) refuse(name, 'an integer from 200 to 599');
  },
  headers(value, name) {
    if (!isObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
      refuse(name, 'an object of strings');
    }
    for (const [header, text] of Object.entries(value)) {
      http.validateHeaderName(header);
      http.validateHeaderValue(header, text);
    }
  },
  body(value, name) {
    if (!isObject(value) && typeof value !== 'string') {
      refuse(name, 'an object, a string or a Buffer');
    }
  },
  fault(value, name) {
    if (!FAULTS.includes(value)) refuse(name, `one of ${FAULTS.join(', ')}`);
  },
  dpop(value, name) {
    if (!DPOP.includes(value)) refuse(name, `one of ${DPOP.join(', ')}`);
  },
  nonce(value, name) {
    const isNonce = typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value);
    if (!isNonce) {
      refuse(name, 'visible ASCII characters without double quotation marks or backslashes');
    }
  },
  claims(value, name) {
    if (!isObject(value)) refuse(name, 'an object');
  },
};

const DPOP = ['supported', 'required', 'ignored'];

const OPTIONS = {
  realm: checks.realm,
  clients: checks.clients,
  expiresIn: checks.seconds,
  delayMs: checks.delay,
  roles: checks.roles,
  tls: checks.tls,
  tokenSize: checks.tokenSize,
  dpop: checks.dpop,
  dpopNonce: checks.nonce,
};

const ANSWER = {
  status: checks.status,
  headers: checks.headers,
  body: checks.body,
  delayMs: checks.delay,
  expiresIn: checks.seconds,
  fault: checks.fault,
  dripMs: checks.interval,
};

/** Checks all members of a record. Returns a copy without members that are `undefined`. */
function checkMembers(value, known, what) {
  if (!isObject(value) || Array.isArray(value)) refuse(what, 'an object');
  const given = Object.entries(value).filter(([, member]) => member !== undefined);
  for (const [name, member] of given) {
    if (!Object.hasOwn(known, name)) {
      const names = Object.keys(known).join(', ');
      throw new TypeError(`${what} has no property ${name}; its properties are ${names}`);
    }
    known[name](member, name);
  }
  return Object.fromEntries(given);
}

const checkOptions = (options) => checkMembers(options, OPTIONS, 'options');
const checkAnswer = (answer) => checkMembers(answer, ANSWER, 'answer');
const checkAnswerSource = (source) => (typeof source === 'function' ? source : checkAnswer(source));

module.exports = { checkAnswer, checkAnswerSource, checkOptions, checks };
