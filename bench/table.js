'use strict';

// Compares the figures with their bars, and formats them as a table.

const columns = ['figure', 'ours', 'other side', 'ratio', 'spread', 'bar', ''];

/** Whether a row meets its bar; undefined if it has none. */
function isMet({ bar, ...row }) {
  if (bar === undefined) return undefined;
  return row[bar.of] <= bar.atMost;
}

function number(value) {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function withUnit(value, unit) {
  return unit ? `${number(value)} ${unit}` : number(value);
}

function describeBar({ bar, unit }) {
  if (bar === undefined) return '';
  return `≤ ${bar.of === 'ratio' ? `${bar.atMost.toFixed(2)} ×` : withUnit(bar.atMost, unit)}`;
}

function cells(row) {
  const met = isMet(row);
  return [
    row.figure,
    withUnit(row.ours, row.unit),
    row.other === undefined ? '' : `${withUnit(row.other, row.unit)} ${row.against}`,
    row.ratio === undefined ? '' : `${row.ratio.toFixed(2)} ×`,
    row.spread?.map((value) => value.toFixed(2)).join('–') ?? '',
    describeBar(row),
    met === undefined ? '' : met ? 'met' : 'MISSED',
  ];
}

/** Returns the scenarios' rows as text, with the notes of each scenario below its rows. */
function formatTable(scenarios) {
  const body = scenarios.map(({ rows = [] }) => rows.map(cells));
  const widths = columns.map((title, column) =>
    Math.max(title.length, ...body.flat().map((line) => line[column].length)),
  );
  const lay = ([figure, ...cells]) => {
    const others = cells.map((cell, column) => cell.padStart(widths[column + 1]));
    return [figure.padEnd(widths[0]), ...others].join('  ').trimEnd();
  };
  const lines = [lay(columns)];
  scenarios.forEach(({ title, notes = [], error }, index) => {
    lines.push('', title, ...body[index].map(lay));
    if (error) lines.push(`  FAILED: ${error}`);
    lines.push(...notes.map((note) => `  ${note}`));
  });
  return lines.join('\n');
}

module.exports = { formatTable, isMet, withUnit };
