'use strict';

// Arguments: token endpoint, acquisitions of each side that do not count, blocks, acquisitions in a
// block, whether each is by a new manager (1), names of the sides. Prints what one costs, block by
// block, when V8 has optimised what there is.

const { interleave } = require('../measure.js');
const { loadSide } = require('../sides.js');
const { acquireBlock, acquireMany } = require('../acquire.js');

/** A manager that is new for every token. */
class Anew {
  #make;
  #url;
  #last;

  constructor(make, url) {
    this.#make = make;
    this.#url = url;
  }

  acquire() {
    this.#last?.close?.();
    this.#last = this.#make(this.#url);
    return this.#last.getToken();
  }
}

async function main(url, warmUp, blocks, count, isAnew, names) {
  const results = {};
  const turns = [];
  for (const name of names) {
    const make = await loadSide(name);
    const manager = isAnew ? new Anew(make, url) : make(url);
    await acquireMany(manager, warmUp);
    results[name] = [];
    turns.push(async () => {
      results[name].push(await acquireBlock(manager, count));
    });
  }
  await interleave(blocks, turns);
  console.log(JSON.stringify(results));
  process.exit();
}

const [, , url, warmUp, blocks, count, isAnew, ...names] = process.argv;
main(url, Number(warmUp), Number(blocks), Number(count), isAnew === '1', names);
