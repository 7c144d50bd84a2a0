'use strict';

// Makes calls at a constant rate, whether or not earlier calls have settled, and draws a chart of
// their waiting times.

const { setInterval: every } = require('node:timers/promises');
const screen = require('./screen.js');

const EVERY_MS = 4;
const CELL_MS = 100;
/** The chart's signs, keyed by the time limit (in ms) for the slowest call in a cell. */
const SIGNS = { 2: '▁', 10: '▂', 50: '▄', 200: '▆' };

/** Calls `getToken()` until `isOver(elapsedMs, seen)`, prints the chart and returns the counts. */
async function traffic(manager, isOver) {
  const seen = { calls: 0, failures: 0, worst: 0, tokens: 0 };
  const cells = [];
  const calls = [];
  let lastToken;

  const call = async (cell) => {
    const start = performance.now();
    try {
      const token = await manager.getToken();
      if (token !== lastToken) {
        lastToken = token;
        seen.tokens += 1;
        cell.isReplaced = seen.tokens > 1;
      }
    } catch {
      seen.failures += 1;
      cell.isFailed = true;
    }
    const took = performance.now() - start;
    cell.worst = Math.max(cell.worst ?? 0, took);
    seen.worst = Math.max(seen.worst, took);
  };

  const start = performance.now();
  for await (const _ of every(EVERY_MS)) {
    const elapsed = performance.now() - start;
    if (isOver(elapsed, seen)) break;
    const index = Math.floor(elapsed / CELL_MS);
    cells[index] ??= {};
    seen.calls += 1;
    calls.push(call(cells[index]));
  }
  await Promise.all(calls);
  // On a busy machine, the timer may have skipped a cell.
  const drawn = Array.from(cells, (cell) => (cell === undefined ? ' ' : drawCell(cell)));
  screen.row('callers wait', drawn.join(''));
  const failed = seen.failures === 0 ? 'none failed' : screen.red(`${seen.failures} failed`);
  const slowest = `the slowest took ${screen.ms(seen.worst)}`;
  screen.row('calls', `${screen.count(seen.calls)}, ${failed}, ${slowest}`);
  return seen;
}

function drawCell({ worst, isFailed, isReplaced }) {
  if (isFailed) return screen.red('✗');
  if (worst < 2) return screen.green(isReplaced ? '↻' : SIGNS[2]);
  const limit = Object.keys(SIGNS).find((most) => worst < most);
  return screen.yellow(SIGNS[limit] ?? '█');
}

/** Explains the signs of the chart. */
function legend() {
  screen.say('Each sign is 0.1 s: ▁ served within 2 ms, ▂ 10 ms, ▄ 50 ms, ▆ 200 ms, █ later,');
  screen.say('✗ failed, ↻ served within 2 ms with a new token.');
}

module.exports = { legend, traffic };
