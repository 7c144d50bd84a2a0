'use strict';

// The verdicts, the layout and the stored results of the bench.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { GLANCE, ratioOf } = require('../results.js');
const { compare } = require('../measure.js');
const { formatTable, isMet } = require('../table.js');

const row = (more) => ({ figure: 'a call', unit: 'ms', ours: 1, other: 4, against: 'x', ...more });

describe('the report of the bench', () => {
  it('judges a row by its own figure or by the ratio', () => {
    for (const [more, verdict] of [
      [{}, undefined],
      [{ bar: { of: 'ours', atMost: 1 } }, true],
      [{ bar: { of: 'ours', atMost: 0.9 } }, false],
      [{ ratio: 0.85, bar: { of: 'ratio', atMost: 0.85 } }, true],
      [{ ratio: 0.86, bar: { of: 'ratio', atMost: 0.85 } }, false],
    ]) {
      assert.equal(isMet(row(more)), verdict, JSON.stringify(more));
    }
  });

  it('compares round by round', () => {
    const { ratio, ours, other } = compare({
      figure: 'a call',
      unit: 'ms',
      ours: [1, 2, 300],
      other: [2, 4, 100],
    });
    assert.deepEqual({ ratio, ours, other }, { ratio: 0.5, ours: 2, other: 4 });
  });

  it('names the missed bars and the failed scenarios', () => {
    const scenarios = [
      { title: 'One', rows: [row({ ratio: 0.25, bar: { of: 'ratio', atMost: 0.2 } })] },
      { title: 'Two', error: 'no endpoint' },
    ];
    const table = formatTable(scenarios);
    assert.match(table, /^a call +1 ms +4 ms x +0\.25 × +≤ 0\.20 × +MISSED$/m);
    assert.match(table, /FAILED: no endpoint/);
  });

  it('shows the side that comes nearest, and never the floor', () => {
    const [scenario, figure] = GLANCE[0];
    const rows = [
      row({ figure, ratio: 1.05, against: 'floor' }),
      row({ figure, ratio: 0.3, against: 'x' }),
      row({ figure, ratio: 0.5, against: 'y' }),
    ];
    const found = ratioOf([{ name: scenario, rows }], GLANCE[0]);
    assert.deepEqual(found, [{ name: GLANCE[0][2], ratio: 0.5, note: '1 ms beside 4 ms, y' }]);
    assert.deepEqual(ratioOf([], GLANCE[0]), []);
    assert.throws(() => ratioOf([{ name: scenario, rows: [row({})] }], GLANCE[0]), /begins with/);
  });
});
