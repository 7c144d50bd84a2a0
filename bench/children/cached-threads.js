'use strict';

// Arguments: token endpoint, threads, rounds, most calls in a turn, milliseconds that a turn may
// take, names of the sides, ours first. Every thread has a manager of its own of each side, and all
// threads read from the same side at the same time. Prints nanoseconds of wall time per call of all
// threads together, round by round.

const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { NS_PER_MS, interleave, median } = require('../measure.js');
const { callsFor, readMany } = require('../loop.js');
const { makeCachedSides } = require('../cached-sides.js');

const WARM_UP = 3;

/** Asks every worker the same and waits for all answers. */
async function askAll(workers, question) {
  const answers = workers.map((worker) => once(worker, 'message'));
  for (const worker of workers) worker.postMessage(question);
  return (await Promise.all(answers)).map(([answer]) => answer);
}

async function main(url, threads, rounds, most, turnMs, names) {
  const start = () => new Worker(__filename, { workerData: { url, names } });
  const workers = Array.from({ length: threads }, start);
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const perCall = {};
  const turns = [];
  for (const name of names) {
    perCall[name] = [];
    // All read equally often.
    const calls = Math.round(median(await askAll(workers, { name, turnMs, most })));
    turns.push(async (round) => {
      const before = performance.now();
      await askAll(workers, { name, calls });
      const ns = ((performance.now() - before) * NS_PER_MS) / calls / threads;
      if (round >= WARM_UP) perCall[name].push(ns);
    });
  }
  await interleave(WARM_UP + rounds, turns);
  await askAll(workers, { check: true });
  console.log(JSON.stringify(perCall));
  process.exit();
}

async function serve({ url, names }) {
  const { sides, check } = await makeCachedSides(url, names);
  parentPort.on('message', async (question) => {
    parentPort.postMessage(await answer(question));
  });
  parentPort.postMessage('ready');

  async function answer({ name, calls, turnMs, most, check: wanted }) {
    if (wanted) return check();
    if (calls === undefined) return callsFor(sides[name], turnMs, most);
    return readMany(sides[name], calls);
  }
}

if (isMainThread) {
  const [, , url, threads, rounds, most, turnMs, ...names] = process.argv;
  main(url, Number(threads), Number(rounds), Number(most), Number(turnMs), names);
} else {
  serve(workerData);
}
