'use strict';

// Arguments: token endpoint, rounds, most calls in a turn, milliseconds that a turn may take, names
// of the sides, ours first. Prints nanoseconds per call of each side, round by round.

const { interleave } = require('../measure.js');
const { callsFor, readMany } = require('../loop.js');
const { makeCachedSides } = require('../cached-sides.js');

const WARM_UP = 3;

async function main(url, rounds, most, turnMs, names) {
  const { sides, check } = await makeCachedSides(url, names);
  const perCall = {};
  const turns = [];
  for (const [name, manager] of Object.entries(sides)) {
    perCall[name] = [];
    const calls = await callsFor(manager, turnMs, most);
    turns.push(async (round) => {
      const ns = await readMany(manager, calls);
      if (round >= WARM_UP) perCall[name].push(ns);
    });
  }
  await interleave(WARM_UP + rounds, turns);
  await check();
  await sides.ours.close();
  console.log(JSON.stringify(perCall));
  process.exit();
}

const [, , url, rounds, most, turnMs, ...names] = process.argv;
main(url, Number(rounds), Number(most), Number(turnMs), names);
