'use strict';

// Measures a call while a token is held: by one caller on each supported version of Node, and by
// eight worker threads. A rival is measured in a process with only ours and the floor: the call
// site of a program sees one class, and V8 treats a call site of many classes differently, which
// has its own rows.

const { compare } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { nodeBinary, nodeMajors } = require('../../tools/node-versions.js');
const { runChild } = require('../child.js');
const { buildNaive } = require('../naive/index.js');
const { loadableRivals, prepareRivals } = require('../rivals/index.js');

const THREADS = 8;
const TURN_MS = 12;

/** `measure(names)` returns nanoseconds per call of the sides, round by round. */
async function rowsOf(where, others, measure) {
  const row = (perCall, name, figure, atMost) =>
    compare({
      figure: `${figure}, ${where}`,
      unit: 'ns',
      ours: perCall.ours,
      other: perCall[name],
      against: name,
      atMost,
    });
  const first = await measure(['ours', 'floor', 'plain']);
  const measured = {};
  for (const name of others) measured[name] = await measure(['ours', 'floor', name]);
  const all = await measure(['ours', 'floor', 'plain', ...others]);
  const rivals = others.filter((name) => name !== 'naive');
  // Each rival is compared with ours in the same process, whatever the noise of that process.
  const [best] = rivals
    .map((name) => row(measured[name], name, 'cached, best rival', 0.667))
    .sort((one, other) => other.ratio - one.ratio);
  return [
    row(first, 'floor', 'cached', 1.1),
    row(all, 'floor', 'cached, a call site of many classes', 1.1),
    row(first, 'plain', 'cached', 0.6),
    ...(best === undefined ? [] : [best]),
    ...others.map((name) => row(measured[name], name, 'cached')),
  ];
}

async function run({ quick }) {
  const rounds = quick ? 7 : 21;
  const most = quick ? 100_000 : 200_000;
  const { names, notes } = await prepareRivals();
  const naive = [];
  try {
    await buildNaive();
    naive.push('naive');
  } catch (error) {
    notes.push(error.message);
  }
  const rows = await withEndpoint({}, async ({ url }) => {
    const found = [];
    const measure = async (where, rivals, options, binary) => {
      const run = (sides) =>
        runChild('cached', { url, rounds, most, names: sides, ...options }, { binary });
      found.push(...(await rowsOf(where, [...rivals, ...naive], run)));
    };
    for (const major of nodeMajors) {
      let binary;
      try {
        binary = await nodeBinary(major);
      } catch (error) {
        notes.push(`Node ${major} was left out: ${error.message}`);
        continue;
      }
      const there = await loadableRivals(names, { binary });
      notes.push(...there.notes);
      await measure(`Node ${major}`, there.names, { turnMs: TURN_MS }, binary);
    }
    const there = await loadableRivals(names);
    const options = { threads: THREADS, turnMs: TURN_MS / 2 };
    await measure(`${THREADS} threads`, there.names, options);
    return found;
  });
  notes.unshift(
    `${rounds} interleaved rounds of up to ${most} awaited calls in ${TURN_MS} ms; 1.3 KB token.`,
    `${THREADS} threads: wall time per call of all together, a manager of each side in each.`,
  );
  return { rows, notes };
}

module.exports = { title: 'A call while a token is held', run };
