'use strict';

// Measures a call while the manager holds a token: by one caller on each supported Node version,
// and by eight worker threads. The scenario measures each rival in a process with only our side and
// the floor. In a real program a call site sees one class, and V8 treats a call site of many
// classes differently; another row measures that.

const { compareSides } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { nodeBinary, nodeMajors } = require('../../tools/node-versions.js');
const { runChild } = require('../child.js');
const { findRivals } = require('../rivals/index.js');

const THREADS = 8;
const TURN_MS = 12;

/** `measure(names)` returns each side's nanoseconds per call, round by round. */
async function rowsOf(where, rivals, measure) {
  const row = (figure, perCall, ...side) =>
    compareSides(`${figure}, ${where}`, 'ns', perCall, [side])[0];
  const first = await measure(['ours', 'floor', 'plain']);
  // Compares each rival with ours in the same process, so that noise affects both.
  const best = [];
  for (const name of rivals) {
    const measured = await measure(['ours', 'floor', name]);
    best.push(row('cached, best rival', measured, name, 0.667));
  }
  best.sort((one, other) => other.ratio - one.ratio);
  const all = await measure(['ours', 'floor', 'plain', ...rivals]);
  return [
    row('cached', first, 'floor', 1.1),
    row('cached, a call site of many classes', all, 'floor', 1.1),
    row('cached', first, 'plain', 0.6),
    ...best.slice(0, 1),
  ];
}

async function run({ quick }) {
  const rounds = quick ? 7 : 21;
  const most = quick ? 100_000 : 200_000;
  const notes = [
    `${rounds} interleaved rounds of up to ${most} awaited calls in ${TURN_MS} ms; 1.3 KB token.`,
    `${THREADS} threads: wall time per call of all together; each has a manager of each side.`,
  ];
  const rows = await withEndpoint({}, async ({ url }) => {
    const measure = async (where, options, binary) => {
      const rivals = await findRivals(binary);
      notes.push(...rivals.notes);
      const settings = { url, rounds, most, ...options };
      return rowsOf(where, rivals.names, (names) =>
        runChild('cached', { ...settings, names }, { binary }),
      );
    };
    const found = [];
    for (const major of nodeMajors) {
      const binary = await nodeBinary(major);
      found.push(...(await measure(`Node ${major}`, { turnMs: TURN_MS }, binary)));
    }
    const options = { threads: THREADS, turnMs: TURN_MS / 2 };
    return [...found, ...(await measure(`${THREADS} threads`, options))];
  });
  // Some notes about a rival are the same for every Node.
  return { rows, notes: [...new Set(notes)] };
}

module.exports = { title: 'A call while a token is held', run };
