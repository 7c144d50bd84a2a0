'use strict';

// Reads and explains the claims of an access token. This module does not verify the signature.

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

/** Returns `{ header, claims }`; `undefined` for a token that is not a JWT. */
function decode(token) {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const [header, claims] = parts
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
    return isObject(header) && isObject(claims) ? { header, claims } : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

const list = (value) => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/**
 * Returns the strings in a value that should be a string or a list of strings. The value may have
 * any other type, because any program may have made the token.
 */
const textsIn = (value) => list(value).filter((item) => typeof item === 'string');

/** Returns the realm roles, and the client roles as `client:role`. */
function rolesOf({ realm_access: realm, resource_access: clients }) {
  const ofClients = Object.entries(isObject(clients) ? clients : {}).flatMap(([client, access]) =>
    textsIn(access?.roles).map((role) => `${client}:${role}`),
  );
  return [...textsIn(isObject(realm) ? realm.roles : undefined), ...ofClients];
}

const isTime = (value) => typeof value === 'number' && Math.abs(value) < 1e11;

/**
 * Returns the claims that decide how an API treats the token, keyed by name. Omits absent claims
 * except for `aud`, because an absent `aud` is a frequent cause of a rejection.
 */
function importantClaims({ header, claims }, now) {
  const { iss, aud, azp, sub, scope, iat, exp, nbf } = claims;
  const roles = rolesOf(claims);
  const audiences = textsIn(aud);
  return Object.fromEntries(
    Object.entries({
      iss,
      aud: audiences.length === 0 ? 'none' : audiences.join(', '),
      azp,
      sub,
      scope,
      roles: roles.length === 0 ? undefined : roles.join(', '),
      'issued at': isTime(iat) ? timeOf(iat) : undefined,
      'not before': isTime(nbf) && nbf !== 0 ? timeOf(nbf) : undefined,
      expires: isTime(exp) ? `${timeOf(exp)}, ${relative(exp - now)}` : undefined,
      life: isTime(exp) && isTime(iat) ? duration(exp - iat) : undefined,
      algorithm: header.alg,
    }).filter(([, value]) => value !== undefined),
  );
}

const timeOf = (seconds) => new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');
const relative = (left) => (left >= 0 ? `in ${duration(left)}` : `${duration(-left)} ago`);

function duration(seconds) {
  const value = Math.round(seconds);
  if (Math.abs(value) < 2 * MINUTE) return `${value} s`;
  if (value < 2 * HOUR) return `${Math.round(value / MINUTE)} min`;
  return value < 2 * DAY ? `${Math.round(value / HOUR)} h` : `${Math.round(value / DAY)} d`;
}

module.exports = { decode, duration, importantClaims, isTime, list, textsIn };
