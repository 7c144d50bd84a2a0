'use strict';

// Arguments: token endpoint, rounds, calls in a round. Prints nanoseconds per call, round by round.

const { NS_PER_MS, interleave } = require('../measure.js');
const { Floor, makeOurs, makePlain } = require('../sides.js');

/** The one loop that all sides run through, so that none is inlined where another is not. */
async function loop(manager, calls) {
  for (let call = 0; call < calls; call += 1) await manager.getToken();
}

async function main(url, rounds, calls) {
  const ours = makeOurs(url);
  const plain = makePlain(url);
  const token = await ours.getToken();
  await plain.getToken();
  const sides = { ours, plain, floor: new Floor(token) };
  const perCall = { ours: [], plain: [], floor: [] };
  const turns = (count, keep) =>
    Object.entries(sides).map(([name, manager]) => async () => {
      const start = performance.now();
      await loop(manager, count);
      if (keep) perCall[name].push(((performance.now() - start) * NS_PER_MS) / count);
    });
  await interleave(3, turns(calls / 10, false));
  await interleave(rounds, turns(calls, true));
  if ((await ours.getToken()) !== token) throw new Error('the token was replaced meanwhile');
  await ours.close();
  console.log(JSON.stringify(perCall));
  process.exit();
}

main(process.argv[2], Number(process.argv[3]), Number(process.argv[4]));
