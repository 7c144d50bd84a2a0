'use strict';

// Checks the credential on this machine: its kind, its file, and common mistakes in it. No text
// shows any part of the credential.

const { X509Certificate, createPrivateKey } = require('node:crypto');
const fs = require('node:fs');
const { decode, isTime } = require('../claims.js');
const { failed, ok, warning } = require('../finding.js');
const { methodOf } = require('./discovery.js');

const LONGEST_ASSERTION = 2_048;
const OTHERS_MAY_READ = 0o004;
const OTHERS_MAY_WRITE = 0o002;

const credential = {
  name: 'credential',
  needs: ['options'],
  async run({ options }) {
    const read = readAll(options);
    const unreadable = read.find(({ fault }) => fault !== undefined);
    if (unreadable !== undefined) {
      return failed(unreadable.fault, 'check the mount and its permissions, or correct the path');
    }
    for (const { name, text } of read) {
      const fault = CHECKS[kindOf(name)](text, options, read);
      if (fault !== undefined)
        return { ...fault, text: `${sourceOf(name, options)} ${fault.text}` };
    }
    const sources = read.map(({ name }) => sourceOf(name, options)).join(' and ');
    const method = options.clientAuthentication ?? methodOf(options);
    const text = `${method} with ${sources || 'tokenFetch'}`;
    const secrets = read.filter(({ name }) => kindOf(name) !== 'certificate');
    if (secrets.some(({ mode }) => (mode & OTHERS_MAY_WRITE) !== 0)) {
      const advice = 'restrict the permissions of the file';
      return warning(`${text}; every user of this machine can change the file`, advice);
    }
    // Kubernetes lets every user read the files of a volume by default, so this is not a warning.
    const isOpen = secrets.some(({ mode }) => (mode & OTHERS_MAY_READ) !== 0);
    return ok(isOpen ? `${text}; every user of this machine can read the file` : text);
  },
};

const NAMES = ['clientSecret', 'privateKey', 'clientCertificate', 'clientKey', 'clientAssertion'];

/** Reads the values and files of the credential. */
function readAll(options) {
  return NAMES.flatMap((plain) => {
    const file = options[`${plain}File`];
    if (options[plain] !== undefined) return [{ name: plain, text: textOf(options[plain]) }];
    return file === undefined ? [] : [readFile(`${plain}File`, file)];
  });
}

const textOf = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function readFile(name, file) {
  try {
    const { mode } = fs.statSync(file);
    const text = fs.readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text === '') return { name, fault: `${name} ${JSON.stringify(file)} is empty` };
    return { name, text, mode: process.platform === 'win32' ? 0 : mode };
  } catch ({ code }) {
    return { name, fault: `${name} ${JSON.stringify(file)} is unreadable (${code})` };
  }
}

const sourceOf = (name, options) =>
  name.endsWith('File') ? `${name} ${JSON.stringify(options[name])}` : name;

const KINDS = {
  clientSecret: 'secret',
  privateKey: 'key',
  clientKey: 'key',
  clientCertificate: 'certificate',
  clientAssertion: 'assertion',
};
const kindOf = (name) => KINDS[name.replace(/File$/, '')];

/** Each check returns a finding whose text has no subject, or `undefined`. */
const CHECKS = {
  secret(text, { clientAuthentication }) {
    if (text.startsWith('\ufeff')) {
      return warning('begins with a byte order mark', 'save the file without a byte order mark');
    }
    if (text.trim() !== text) {
      return warning(
        `has whitespace at its ${text.trimStart() === text ? 'end' : 'start'}`,
        'remove the whitespace, unless it belongs to the secret',
      );
    }
    if (/\\[nr]$/.test(text)) {
      return warning(
        'ends with the characters \\n or \\r in place of a line break',
        'remove these characters, unless they belong to the secret',
      );
    }
    if (/[\r\n]/.test(text)) {
      return warning('has several lines', 'remove all lines except the secret');
    }
    if (/^(["']).*\1$/.test(text)) {
      return warning(
        'is in quotation marks',
        'remove the quotation marks, unless they belong to the secret',
      );
    }
    if (/^\$\{.*\}$/.test(text)) {
      return warning('is a placeholder', 'replace the placeholder with the value of the variable');
    }
    if (clientAuthentication === 'client_secret_basic' && !/^[\w.~-]*$/.test(text)) {
      return warning(
        'has special characters, which client_secret_basic sends encoded',
        'if the server does not decode them, set clientAuthentication to client_secret_post',
      );
    }
    return undefined;
  },

  key(text) {
    if (!text.includes('-----BEGIN')) {
      return text.trimStart().startsWith('{')
        ? undefined
        : failed(
            'contains no PEM private key and is not a JSON Web Key',
            'set the option to the private key',
          );
    }
    if (text.includes('\\n')) {
      return failed(
        'has the characters \\n in place of line breaks',
        'replace these characters with line breaks',
      );
    }
    if (/ENCRYPTED/.test(text)) {
      return failed(
        'is encrypted',
        'decrypt it first, for example with openssl pkey -in KEY -out PLAIN',
      );
    }
    try {
      createPrivateKey(text);
      return undefined;
    } catch {
      return failed('is not a private key that Node can read', 'set the option to a PEM key');
    }
  },

  certificate(text, _options, read) {
    let certificate;
    try {
      certificate = new X509Certificate(text);
    } catch {
      return failed('is not a PEM certificate', 'set the option to the client certificate');
    }
    if (new Date(certificate.validTo) < Date.now()) {
      return failed(`expired on ${certificate.validTo}`, 'renew the client certificate');
    }
    const key = read.find(({ name }) => name.startsWith('clientKey'))?.text;
    return key === undefined || belongs(certificate, key)
      ? undefined
      : failed('does not belong to the client key', 'use the key of this certificate');
  },

  assertion(text) {
    const jwt = decode(text.trim());
    if (jwt === undefined) return failed('is not a JWT', 'check the program that writes the file');
    const { exp } = jwt.claims;
    if (isTime(exp) && exp * 1_000 < Date.now()) {
      return failed(
        `expired at ${new Date(exp * 1_000).toISOString()}`,
        'check the program that renews the file',
      );
    }
    return text.length > LONGEST_ASSERTION
      ? warning(
          `has ${text.length} characters`,
          'use a shorter assertion, because some servers refuse more than 2 KiB (status 413)',
        )
      : undefined;
  },
};

function belongs(certificate, key) {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // The check of the key reports its fault.
    return true;
  }
}

module.exports = { steps: [credential] };
