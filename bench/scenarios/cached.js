'use strict';

// What a call costs while a token is held: by one caller on each version of Node that is supported,
// and by eight worker threads. A rival is measured in a process with ours and the floor alone: the
// call site of a program sees one class, and V8 treats one that sees many differently, which has
// rows of its own.

const { compare, median } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { nodeBinary, nodeMajors } = require('../../tools/node-versions.js');
const { runChild } = require('../child.js');
const { buildNaive } = require('../naive/index.js');
const { loadableRivals, prepareRivals } = require('../rivals/index.js');

const THREADS = 8;
const TURN_MS = 12;

/** The ratio of ours to the other side, round by round. */
function ratio(perCall, name) {
  return median(perCall.ours.map((ns, round) => ns / perCall[name][round]));
}

/** `measure(names)` gives nanoseconds per call of ours and the sides named, round by round. */
async function rowsOf(where, others, measure) {
  const first = await measure(['ours', 'floor', 'plain']);
  const row = (perCall, name, figure, atMost) =>
    compare({
      figure: `${figure}, ${where}`,
      ...{ unit: 'ns', ours: perCall.ours, other: perCall[name], against: name, atMost },
    });
  const measured = [];
  for (const name of others) {
    const perCall = await measure(['ours', 'floor', name]);
    measured.push({ name, perCall, ratio: ratio(perCall, name) });
  }
  const all = await measure(['ours', 'floor', 'plain', ...others]);
  const rivals = measured.filter(({ name }) => name !== 'naive');
  // The one that comes nearest to ours, whatever the noise of its process.
  const best = rivals.reduce((a, b) => (b.ratio > a.ratio ? b : a), { ratio: 0 });
  return [
    row(first, 'floor', 'cached', 1.1),
    row(all, 'floor', 'cached, a call site of many classes', 1.1),
    row(first, 'plain', 'cached', 0.6),
    ...(best.name ? [row(best.perCall, best.name, 'cached, best rival', 0.667)] : []),
    ...measured.map(({ name, perCall }) => row(perCall, name, 'cached')),
  ];
}

async function run({ quick }) {
  const rounds = quick ? 7 : 21;
  const most = quick ? 100_000 : 200_000;
  const { names, notes } = await prepareRivals();
  const naive = await buildNaive().then(
    () => ['naive'],
    (error) => {
      notes.push(error.message);
      return [];
    },
  );
  const endpoint = await startEndpoint();
  const rows = [];
  try {
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
      const args = [endpoint.url, rounds, most, TURN_MS];
      rows.push(
        ...(await rowsOf(`Node ${major}`, [...there.names, ...naive], (sides) =>
          runChild('cached.js', [...args, ...sides], { binary }),
        )),
      );
    }
    const there = await loadableRivals(names);
    const args = [endpoint.url, THREADS, rounds, most, TURN_MS / 2];
    rows.push(
      ...(await rowsOf(`${THREADS} threads`, [...there.names, ...naive], (sides) =>
        runChild('cached-threads.js', [...args, ...sides]),
      )),
    );
  } finally {
    endpoint.stop();
  }
  notes.unshift(
    `${rounds} interleaved rounds of up to ${most} awaited calls in ${TURN_MS} ms; 1.3 KB token.`,
    `${THREADS} threads: wall time per call of all together, a manager of each side in each.`,
  );
  return { rows, notes };
}

module.exports = { title: 'A call while a token is held', run };
