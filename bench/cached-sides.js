'use strict';

// A manager for each of the named sides, its token held, for the reads of `cached`.

const { Floor, loadSide } = require('./sides.js');
const { makeNaive } = require('./naive/index.js');

async function makeCachedSides(url, names) {
  const sides = {};
  const held = {};
  for (const name of names) {
    sides[name] = await makeSide(url, name, held.ours);
    held[name] = await sides[name].getToken();
  }
  return {
    sides,
    /** Rejects unless each side still has the token that it had. */
    async check() {
      for (const [name, manager] of Object.entries(sides)) {
        if ((await manager.getToken()) !== held[name]) throw new Error(`${name}: another token`);
      }
    },
  };
}

async function makeSide(url, name, token) {
  if (name === 'floor') return new Floor(token);
  if (name === 'naive') return makeNaive(token);
  return (await loadSide(name))(url);
}

module.exports = { makeCachedSides };
