'use strict';

// Runs the complete table of `faults/` for ours and the plain class. A complete run also writes
// `results/faults.md`.

const fs = require('node:fs');
const path = require('node:path');
const { TOTALS, faultsTable, markdown, totals } = require('../faults/report.js');
const { brokenPromises, startTable } = require('../faults/run.js');
const { rows } = require('../faults/table.js');
const { absolute } = require('../measure.js');

async function run({ isKept, date, machine }) {
  const { node, system, cpu, loadAverage } = machine;
  const about = `Measured on ${date} with Node ${node} on ${system}, ${cpu}, load ${loadAverage}.`;
  const { results, done } = startTable(rows);
  const table = [];
  try {
    for (const row of rows) table.push({ row, result: await results.get(row.name) });
  } finally {
    await done;
  }
  const folder = path.join(__dirname, '..', 'results');
  if (isKept) fs.writeFileSync(path.join(folder, 'faults.md'), markdown(table, about));
  const brokenCells = (side) =>
    table.flatMap(({ row, result }) =>
      Object.entries(result)
        .map(([situation, sides]) => brokenPromises(row, situation, sides[side]))
        .filter((sentences) => sentences.length > 0),
    ).length;
  const [ours, plain] = ['ours', 'plain'].map((side) => totals(table, side));
  const row = (figure, ourValue, plainValue, atMost) =>
    absolute({ figure, ours: ourValue, other: plainValue, atMost });
  const total = (key, atMost) => row(TOTALS[key], ours[key], plain[key], atMost);
  const broken = 'cells in which the contract is not kept';
  return {
    rows: [
      total('lost', 0),
      total('hung', 0),
      total('expired', 0),
      total('shown', 0),
      row(broken, brokenCells('ours'), brokenCells('plain'), 0),
      total('requests'),
    ],
    notes: [
      `${rows.length} faults, ${ours.calls} calls on each side.`,
      ...faultsTable(table).split('\n'),
    ],
  };
}

module.exports = { title: 'Callers under faults', run };
