/** Decides which managers of a pool to close. Pure: the time and all facts are parameters. */
'use strict';

/**
 * Returns the managers to close: all idle managers to which no plugin refers and, if more than the
 * maximum remain, the least recently used ones. Of these, the managers to which no plugin refers
 * come first; the others reopen on their next call. The result never contains a manager with a call
 * in progress.
 *
 * @template Key
 * @param {{ key: Key, usedAtMs: number, isReferenced: boolean, isBusy: boolean }[]} managers
 *   ordered by last use, least recent first
 * @param {number} nowMs
 * @param {{ idleTimeoutMs: number, maximum: number }} limits
 * @returns {Key[]}
 */
function toClose(managers, nowMs, { idleTimeoutMs, maximum }) {
  const isIdle = ({ usedAtMs, isReferenced, isBusy }) =>
    !isBusy && !isReferenced && nowMs - usedAtMs >= idleTimeoutMs;
  const idle = managers.filter(isIdle);
  const rest = managers.filter((manager) => !isIdle(manager));
  const closable = rest.filter(({ isBusy }) => !isBusy);
  const inOrder = [
    ...closable.filter(({ isReferenced }) => !isReferenced),
    ...closable.filter(({ isReferenced }) => isReferenced),
  ];
  const excess = inOrder.slice(0, Math.max(0, rest.length - maximum));
  return [...idle, ...excess].map(({ key }) => key);
}

module.exports = { toClose };
