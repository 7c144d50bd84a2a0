'use strict';

/** The pure function that decides which managers of a pool to close. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { toClose } = require('../../lib/backstage/idle-policy.js');

const MINUTE_MS = 60_000;
const LIMITS = { idleTimeoutMs: 10 * MINUTE_MS, maximum: 2 };

/** A manager that has been idle for `idleMs`; `flags` are `r` (referenced) and `b` (busy). */
const manager = (key, idleMs, flags = '') => ({
  key,
  usedAtMs: -idleMs,
  isReferenced: flags.includes('r'),
  isBusy: flags.includes('b'),
});

describe('the policy for idle managers', () => {
  const old = 11 * MINUTE_MS;
  for (const [what, managers, closed] of [
    ['keeps a manager whose idle time has not ended', [manager('a', LIMITS.idleTimeoutMs - 1)], []],
    ['closes a manager at the end of its idle time', [manager('a', LIMITS.idleTimeoutMs)], ['a']],
    ['keeps an idle manager that is referenced', [manager('a', old, 'r')], []],
    ['keeps an idle manager with a call in progress', [manager('a', old, 'b')], []],
    [
      'closes the least recently used manager above the maximum',
      [manager('a', 3), manager('b', 2), manager('c', 1)],
      ['a'],
    ],
    [
      'does not count an idle manager that it closes',
      [manager('a', old), manager('b', 2), manager('c', 1)],
      ['a'],
    ],
    [
      'closes an unreferenced manager before a referenced one',
      [manager('a', 3, 'r'), manager('b', 2), manager('c', 1)],
      ['b'],
    ],
    [
      'closes a referenced manager if all are referenced',
      [manager('a', 3, 'r'), manager('b', 2, 'r'), manager('c', 1, 'r')],
      ['a'],
    ],
    [
      'exceeds the maximum while all managers are busy',
      [manager('a', 3, 'b'), manager('b', 2, 'b'), manager('c', 1, 'b')],
      [],
    ],
  ]) {
    test(what, () => assert.deepEqual(toClose(managers, 0, LIMITS), closed));
  }

  test('bounds the number of managers over a day with 500 servers, and closes idle managers', () => {
    const limits = { idleTimeoutMs: 10 * MINUTE_MS, maximum: 100 };
    const servers = Array.from({ length: 500 }, (_, key) => key);
    /** Whether a plugin references this server's manager all day, and uses it once an hour. */
    const isHeld = (key) => key < 20;
    const open = new Map();
    let openings = 0;
    let largest = 0;
    let heldOpenings = 0;
    const use = (key, nowMs) => {
      if (!open.has(key)) {
        openings += 1;
        if (isHeld(key)) heldOpenings += 1;
      }
      open.delete(key);
      open.set(key, nowMs);
    };
    const sweep = (nowMs) => {
      const managers = [...open].map(([key, usedAtMs]) => ({
        key,
        usedAtMs,
        isReferenced: isHeld(key),
        isBusy: false,
      }));
      for (const key of toClose(managers, nowMs, limits)) open.delete(key);
      largest = Math.max(largest, open.size);
      for (const [key, usedAtMs] of open) {
        assert.ok(isHeld(key) || nowMs - usedAtMs < limits.idleTimeoutMs, `${key} is idle`);
      }
    };
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const end = 24 * 60;
    for (let minute = 0; minute < end; minute += 1) {
      const nowMs = minute * MINUTE_MS;
      if (minute % 60 === 0) for (const key of servers.filter(isHeld)) use(key, nowMs);
      // The load is high by day and low by night.
      const calls = minute % (24 * 60) < 16 * 60 ? 15 : 1;
      for (let call = 0; call < calls; call += 1) {
        use(20 + Math.floor(random() * 480), nowMs);
        sweep(nowMs);
      }
    }
    assert.equal(largest, 100, 'the maximum is reached and never exceeded');
    assert.equal(heldOpenings, 20, 'no referenced manager is closed');
    assert.ok(openings > 500, 'closed managers open again');
    sweep((end + 10) * MINUTE_MS);
    assert.deepEqual([...open.keys()].sort(), servers.filter(isHeld).sort());
  });
});
