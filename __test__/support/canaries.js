'use strict';

// Values that the manager must not show, in every spelling that a server may use, and a search for
// parts of them in a text.

/** The length of the pieces that no text may contain. Shorter pieces may occur by chance. */
const FRAGMENT_LENGTH = 8;
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

function word(random, length) {
  return Array.from({ length }, () => LETTERS[Math.floor(random() * LETTERS.length)]).join('');
}

/** A secret that every encoding changes, with recognisable words in between. */
function makeSecret(random) {
  const words = Array.from({ length: 4 }, () => word(random, 11));
  return `${words[0]}+${words[1]}%/é"${words[2]}\\&= ${words[3]}`;
}

/** A value that looks like a JWT but is not a JWT. */
function makeToken(random) {
  return `eyJ${word(random, 40)}.${word(random, 90)}.${word(random, 80)}`;
}

const formEncoded = (text) => new URLSearchParams([['', text]]).toString().slice(1);
const base64 = (text) => Buffer.from(text).toString('base64');
const inJson = (text) => JSON.stringify(text).slice(1, -1);
const inUnits = (text) =>
  text.replace(/[^A-Za-z0-9]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Every way to write a client's secret, keyed by name. */
function spellingsOf(secret, clientId) {
  return {
    raw: secret,
    'form-encoded': formEncoded(secret),
    'percent-encoded': encodeURIComponent(secret),
    'percent-encoded in lower case': encodeURIComponent(secret).replace(/%../g, (hex) =>
      hex.toLowerCase(),
    ),
    'in JSON': inJson(secret),
    'in JSON as code units': inUnits(secret),
    'in Base64': base64(`${formEncoded(clientId)}:${formEncoded(secret)}`),
    'in Base64 as it is': base64(`${clientId}:${secret}`),
  };
}

/** The length of the client id in the Base64 of credentials; this part is public. */
function publicLength(spelling, clientId) {
  return spelling.startsWith('in Base64') ? base64(`${clientId}:`).length : 0;
}

/** Holds the pieces of the values that the manager must not show. */
class Canaries {
  #fragments = new Set();

  /** Adds `text` without its first `from` characters. */
  add(text, from = 0) {
    for (let at = from; at + FRAGMENT_LENGTH <= text.length; at += 1) {
      this.#fragments.add(text.slice(at, at + FRAGMENT_LENGTH));
    }
  }

  addSecret(secret, clientId) {
    for (const [name, spelling] of Object.entries(spellingsOf(secret, clientId))) {
      this.add(spelling, publicLength(name, clientId));
    }
  }

  /** The first piece in `text`, if there is one. */
  find(text) {
    for (let at = 0; at + FRAGMENT_LENGTH <= text.length; at += 1) {
      const fragment = text.slice(at, at + FRAGMENT_LENGTH);
      if (this.#fragments.has(fragment)) return fragment;
    }
    return undefined;
  }
}

module.exports = { Canaries, makeSecret, makeToken, spellingsOf };
