'use strict';

// What faults do to callers: the whole table of `faults/`, ours and the plain class side by side in
// every row. A run that is kept also writes it to `results/faults.md`.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { lines, markdown, totals } = require('../faults/report.js');
const { brokenPromises, startTable } = require('../faults/run.js');
const { rows } = require('../faults/table.js');
const { absolute } = require('../measure.js');

async function run({ isKept = true }) {
  // Before this adds a load of its own.
  const about = `Measured on ${today()} with ${machine()}.`;
  const { results, done } = startTable(rows);
  const table = [];
  try {
    for (const row of rows) table.push({ row, result: await results.get(row.name) });
  } finally {
    await done;
  }
  const folder = path.join(__dirname, '..', 'results');
  if (isKept) fs.writeFileSync(path.join(folder, 'faults.md'), markdown(table, about));
  const broken = (side) =>
    table.flatMap(({ row, result }) =>
      Object.entries(result)
        .map(([situation, sides]) => brokenPromises(row, situation, sides[side]))
        .filter((sentences) => sentences.length > 0),
    ).length;
  const [ours, plain] = ['ours', 'plain'].map((side) => totals(table, side));
  const bar = (figure, name) =>
    absolute({ figure, unit: '', ours: ours[name], other: plain[name], atMost: 0 });
  return {
    rows: [
      bar('callers who lost a valid token', 'lost'),
      bar('callers who hung', 'hung'),
      bar('expired tokens handed out', 'expired'),
      bar('places with a secret', 'shown'),
      absolute({
        ...{ figure: 'cells in which the contract is not kept', unit: '' },
        ...{ ours: broken('ours'), other: broken('plain'), atMost: 0 },
      }),
      absolute({
        ...{ figure: 'requests at the endpoint', unit: '' },
        ...{ ours: ours.requests, other: plain.requests },
      }),
    ],
    notes: [`${rows.length} faults, ${ours.calls} calls on each side.`, ...lines(table)],
  };
}

function today() {
  return new Date().toISOString().slice(0, 10);
}

function machine() {
  const cpus = os.cpus();
  return (
    `Node ${process.versions.node} on ${os.type()}, ${process.arch}, ${cpus.length} × ` +
    `${cpus[0].model.trim()}, load ${os.loadavg()[0].toFixed(1)}`
  );
}

module.exports = { title: 'Callers under faults', run };
