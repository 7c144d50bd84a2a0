'use strict';

// Runs every fault of the table on ours and on the plain class in the same process. Ours must keep
// its contract; the plain class shows that the same checks detect violations.

const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const { brokenPromises, startTable } = require('../faults/run.js');
const { rows } = require('../faults/table.js');

/** The time limit of a test that hangs. */
const LIMIT_MS = 240_000;
/** The rows in which the plain class fails on every machine, however slow or fast. */
const ROWS_LOST_BY_PLAIN = 12;

const skip = process.platform === 'linux' ? false : 'the test steps clocks with LD_PRELOAD';

describe('callers under a fault', { timeout: LIMIT_MS, skip }, () => {
  let table;
  before(() => {
    table = startTable(rows);
  });
  after(() => table?.done);

  for (const row of rows) {
    it(`get a token or an error as promised: ${row.name}`, async () => {
      const result = await table.results.get(row.name);
      for (const [situation, { ours }] of Object.entries(result)) {
        assert.ok(ours.calls > 0);
        assert.deepEqual(brokenPromises(row, situation, ours), [], `${situation} a token`);
      }
    });
  }

  it('of the plain class do not', async () => {
    const results = await Promise.all(table.results.values());
    const rowsWith = (figure) =>
      results.filter((result) => Object.values(result).some(({ plain }) => figure(plain))).length;
    const held = results.filter(({ held }) => held !== undefined);
    const lost = held.filter(({ held: { plain } }) => plain.lost > 0).length;
    assert.ok(lost >= ROWS_LOST_BY_PLAIN, `callers lose a valid token in ${lost} rows`);
    assert.ok(rowsWith(({ hung }) => hung > 0) >= 2, 'callers hang');
    assert.ok(rowsWith(({ expired }) => expired > 0) >= 1, 'callers get expired tokens');
    assert.ok(rowsWith(({ shown }) => shown.includes('log')) >= 1, 'the log contains a secret');
  });
});
