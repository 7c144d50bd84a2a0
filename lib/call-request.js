'use strict';

// The members `onBehalfOf`, `scope` and `audience` of `init`, which make `fetch` use a derived
// manager.

const MEMBERS = ['onBehalfOf', 'scope', 'audience'];

/**
 * Splits `init` into these members and the rest. Returns `undefined` if `init` has none of these
 * members.
 */
function requestOf(init) {
  if (init === null || typeof init !== 'object') return undefined;
  const isThere = 'onBehalfOf' in init || init.scope !== undefined || init.audience !== undefined;
  if (!isThere) return undefined;
  const members = {};
  const rest = {};
  // Inherited members of `init` count too, as they do for `fetch`.
  for (const name in init) if (!MEMBERS.includes(name)) rest[name] = init[name];
  for (const name of MEMBERS) if (name in init) members[name] = init[name];
  return { members, rest };
}

module.exports = { requestOf };
