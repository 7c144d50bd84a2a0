'use strict';

// Makes texts from the network and from files printable. If a text contains a part of a secret, the
// redactor hides the whole text, because an attacker who chose the text may have made the rest
// reveal the secret.

/**
 * The length of the shortest part of a secret that the redactor looks for. It looks for a shorter
 * secret only as a whole.
 */
const PART = 8;
/** The redactor ignores a secret below this length, because too many texts contain it by chance. */
const SHORTEST = 4;
const LONGEST = 300;
/**
 * The start of a JWT: an object in Base64url. A server may send a JWT that this process does not
 * know.
 */
const JWT = /eyJ[\w-]{8}/;
const NESTED = '(not shown, because it is nested too deeply)';
const HIDDEN = '(not shown, because it contains a part of a secret)';

const formEncoded = (text) => new URLSearchParams([['', text]]).toString().slice(1);
const base64 = (text) => Buffer.from(text).toString('base64');
const withoutPadding = (text) => text.replace(/=+$/, '');

/** Returns the spellings that a server may use for a secret. */
function spellings(secret, clientId) {
  const percent = encodeURIComponent(secret);
  // In Base64, the same text has three forms, depending on what precedes it.
  const shifted = ['', 'x', 'xx'].map((before, at) => base64(before + secret).slice(at && at + 1));
  return [
    secret,
    formEncoded(secret),
    percent,
    percent.replace(/%../g, (hex) => hex.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    secret.replace(/[^A-Za-z0-9]/g, (char) => `\\u${hexOf(char)}`),
    ...shifted.map((text) => withoutPadding(text)),
    ...[':', `${clientId}:`, `${formEncoded(clientId)}:`].flatMap((before) => {
      const length = base64(before).length;
      return [base64(before + secret), base64(before + formEncoded(secret))].map((text) =>
        withoutPadding(text.slice(length)),
      );
    }),
  ];
}

const hexOf = (char) => char.charCodeAt(0).toString(16).padStart(4, '0');

class Redactor {
  #parts = new Set();
  #short = [];

  add(secret, clientId = '') {
    if (typeof secret !== 'string' || secret.trim() === '') return;
    for (const spelling of new Set(spellings(secret, clientId))) this.#addSpelling(spelling);
  }

  #addSpelling(text) {
    if (text.length < PART) {
      if (text.length >= SHORTEST) this.#short.push(text);
      return;
    }
    for (let at = 0; at + PART <= text.length; at += 1) this.#parts.add(text.slice(at, at + PART));
  }

  #hides(text) {
    if (JWT.test(text) || this.#short.some((secret) => text.includes(secret))) return true;
    for (let at = 0; at + PART <= text.length; at += 1) {
      if (this.#parts.has(text.slice(at, at + PART))) return true;
    }
    return false;
  }

  /**
   * Returns the value as printable text on one line, or a notice if the value may contain a secret.
   */
  show(value) {
    const text = textOf(value);
    // The value may contain a secret in percent-encoded form.
    if ([text, decoded(text)].some((form) => this.#hides(form))) return HIDDEN;
    const printable = text.replace(/[^\p{L}\p{N}\p{P}\p{S}\p{M} ]|\\/gu, escaped);
    return printable.length > LONGEST ? `${printable.slice(0, LONGEST)}…` : printable;
  }
}

function textOf(value) {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? `${value}`;
  } catch {
    return NESTED;
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Escapes line breaks, control characters, and characters that change the text direction. */
function escaped(char) {
  if (char === '\\') return '\\\\';
  const hex = char.codePointAt(0).toString(16);
  return `\\u{${hex}}`;
}

module.exports = { HIDDEN, Redactor };
