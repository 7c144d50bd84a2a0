'use strict';

// The output of the demo: aligned rows, and claims with a tick or a cross.

const hasColour = process.stdout.isTTY === true && !process.env.NO_COLOR;
const LABEL_WIDTH = 16;

const painter = (code) => (text) => (hasColour ? `\u001b[${code}m${text}\u001b[0m` : text);
const [bold, dim, red, green, yellow, cyan] = ['1', '2', '31', '32', '33', '36'].map(painter);

const claims = { kept: 0, broken: 0 };

const title = (text) => console.log(`\n${cyan(bold(text))}`);
const say = (text) => console.log(`   ${dim(text)}`);
const row = (label, value) => console.log(`   ${dim(label.padEnd(LABEL_WIDTH))}${value}`);

/** Prints a claim and counts whether it holds. */
function claim(holds, text) {
  claims[holds ? 'kept' : 'broken'] += 1;
  console.log(holds ? `   ${green('✓')} ${text}` : `   ${red(`✗ does not hold: ${text}`)}`);
}

const count = (value) => Math.round(value).toLocaleString('en-GB');
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const seconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} s`;

module.exports = { bold, claim, claims, count, green, ms, red, row, say, seconds, title, yellow };
