/** Which managers of a pool are closed. Pure: the time and all facts are parameters. */
'use strict';

/**
 * Closes what is idle and unreferenced, and beyond the maximum also what was used least recently:
 * first managers that nothing refers to, then others, which reopen when they are used again. A
 * manager with a call in progress is never closed.
 *
 * @template Key
 * @param {{ key: Key, usedAtMs: number, isReferenced: boolean, isBusy: boolean }[]} managers in the
 *   order of their last use, the least recent first
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
