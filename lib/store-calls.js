'use strict';

/**
 * Calls the user's store for the native side. Never rejects: returns every outcome, including an
 * error, as data. An outcome contains only an error's code, because the message may contain the
 * store's password.
 */
async function callStore(store, { operation, key, value, ttlMs }) {
  try {
    switch (operation) {
      case 'get':
        return found(await store.get(key));
      case 'set':
        await store.set(key, value, ttlMs);
        break;
      case 'delete':
        await store.delete(key);
        break;
      default:
        await store.remake();
    }
    return { type: 'Done' };
  } catch (error) {
    return { type: 'Failed', detail: codeOf(error) };
  }
}

function found(value) {
  if (value === undefined || value === null) return { type: 'Done' };
  if (typeof value === 'string') return { type: 'Done', value };
  return { type: 'Failed', detail: 'get must return a string, undefined or null' };
}

function codeOf(error) {
  try {
    const { code } = error;
    const isCode = typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(code);
    return isCode ? code : undefined;
  } catch {
    return undefined;
  }
}

module.exports = { callStore };
