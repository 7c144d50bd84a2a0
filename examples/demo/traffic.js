'use strict';

// Makes calls at a constant rate, whether or not earlier calls were answered, and draws a chart of
// how long each of them waited.

const screen = require('./screen.js');

const EVERY_MS = 4;
const CELL_MS = 100;
/** The signs of the chart, by the slowest call of a cell in ms. */
const levels = [
  [2, '▁'],
  [10, '▂'],
  [50, '▄'],
  [200, '▆'],
  [Number.POSITIVE_INFINITY, '█'],
];

/**
 * Calls `getToken()` until `isOver(elapsedMs, seen)`, draws the chart, and returns the counts.
 * `tracks` are further lines of the chart, with a sign for each cell; `below` returns lines below
 * it.
 */
async function traffic(manager, { isOver, tracks = [], below = () => [] }) {
  const seen = { calls: 0, failures: 0, worst: 0, tokens: 0 };
  const open = new Set();
  const live = new screen.Live();
  const cells = [];
  let lastToken;

  const call = async (cell) => {
    const start = performance.now();
    seen.calls += 1;
    try {
      const token = await manager.getToken();
      if (token !== lastToken) {
        lastToken = token;
        seen.tokens += 1;
        if (seen.tokens > 1) cell.replaced = true;
      }
    } catch {
      seen.failures += 1;
      cell.failed = true;
    }
    const took = performance.now() - start;
    cell.worst = Math.max(cell.worst, took);
    seen.worst = Math.max(seen.worst, took);
  };

  const lines = () => [
    screen.formatRow('callers wait', cells.map(drawCell).join('')),
    screen.formatRow('new token', cells.map(({ replaced }) => (replaced ? '↻' : ' ')).join('')),
    ...tracks.map(({ label }, track) =>
      screen.formatRow(label, cells.map(({ signs }) => signs[track]).join('')),
    ),
    ...below(),
  ];

  const start = performance.now();
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const index = Math.floor((performance.now() - start) / CELL_MS);
      while (cells.length <= index) {
        if (cells.length > 0) live.draw(lines());
        cells.push({
          worst: 0,
          failed: false,
          replaced: false,
          signs: tracks.map(({ sign }) => sign()),
        });
      }
      const pending = call(cells[index]).finally(() => open.delete(pending));
      open.add(pending);
      if (!isOver(performance.now() - start, seen)) return;
      clearInterval(timer);
      resolve();
    }, EVERY_MS);
  });
  await Promise.all(open);
  live.end(lines());
  return seen;
}

function drawCell({ worst, failed }) {
  if (failed) return screen.red('✗');
  const [, sign] = levels.find(([limit]) => worst < limit);
  return worst < levels[1][0] ? screen.green(sign) : screen.yellow(sign);
}

/** Explains the signs of the chart; each stands for a tenth of a second. */
function legend() {
  screen.say('▁ served within 2 ms  ▂ 10 ms  ▄ 50 ms  ▆ 200 ms  █ later  ✗ failed');
}

function summary({ calls, failures, worst }) {
  const failed = failures === 0 ? 'none failed' : screen.red(`${failures} failed`);
  screen.row('calls', `${screen.count(calls)}, ${failed}, the slowest took ${screen.ms(worst)}`);
}

module.exports = { legend, summary, traffic };
