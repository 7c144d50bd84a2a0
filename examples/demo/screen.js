'use strict';

// The output of the demo: aligned rows, charts that grow, and claims with a tick or a cross.
// Without a terminal it is plain text, and each chart is printed once.

const { stripVTControlCharacters } = require('node:util');

const isTerminal = process.stdout.isTTY === true;
const hasColour = isTerminal && !process.env.NO_COLOR;
const LABEL_WIDTH = 16;
const BAR_WIDTH = 44;
const TEXT_WIDTH = 76;

function painter(code) {
  return (text) => (hasColour ? `\u001b[${code}m${text}\u001b[0m` : text);
}

const bold = painter('1');
const dim = painter('2');
const red = painter('31');
const green = painter('32');
const yellow = painter('33');
const cyan = painter('36');

const claims = { kept: 0, broken: 0 };

function print(line = '') {
  console.log(line);
}

function title(text) {
  print(`\n${cyan(bold(text))}`);
}

function say(text) {
  for (const line of wrap(text, TEXT_WIDTH)) print(`   ${dim(line)}`);
}

/** Text from another program. */
function quote(text) {
  for (const line of wrap(text, TEXT_WIDTH - 2)) print(`     ${yellow(line)}`);
}

function formatRow(label, value) {
  return `   ${dim(label.padEnd(LABEL_WIDTH))}${value}`;
}

/** Lines of a row whose text may be long; the first word is painted. */
function formatLong(label, paint, text) {
  const [first, ...others] = wrap(text, TEXT_WIDTH - LABEL_WIDTH);
  const [word, ...words] = first.split(' ');
  return [
    formatRow(label, [paint(word), ...words].join(' ')),
    ...others.map((line) => formatRow('', line)),
  ];
}

function row(label, value) {
  print(formatRow(label, value));
}

/** A bar whose length is the value's share of `most`; the bar of a small value is visible too. */
function bar(label, value, most) {
  const length = value === 0 ? 0 : Math.max(1, Math.round((value / most) * BAR_WIDTH));
  row(label, `${cyan('█'.repeat(length))} ${count(value)}`);
}

/** Prints a claim and counts whether it holds. */
function claim(holds, text) {
  claims[holds ? 'kept' : 'broken'] += 1;
  print(holds ? `   ${green('✓')} ${text}` : `   ${red(`✗ does not hold: ${text}`)}`);
}

/** Lines that are drawn repeatedly in the same place. */
class Live {
  #drawn = 0;

  draw(lines) {
    if (!isTerminal) return;
    this.#erase();
    print(lines.map(clip).join('\n'));
    this.#drawn = lines.length;
  }

  end(lines) {
    this.#erase();
    print(lines.join('\n'));
  }

  #erase() {
    if (this.#drawn > 0) process.stdout.write(`\u001b[${this.#drawn}A\u001b[J`);
  }
}

/** A line that the terminal does not wrap, because a wrapped line could not be overwritten. */
function clip(line) {
  const text = stripVTControlCharacters(line);
  return text.length < process.stdout.columns ? line : text.slice(0, process.stdout.columns - 1);
}

function count(value) {
  return Math.round(value).toLocaleString('en-GB');
}

function ms(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 120) return `${whole} s`;
  const rest = whole % 60;
  return `${Math.floor(whole / 60)} min${rest === 0 ? '' : ` ${rest} s`}`;
}

function clockTime(at) {
  return new Date(at).toLocaleTimeString('en-GB');
}

/** The beginning of a token. */
function shorten(token) {
  return `${token.slice(0, 12)}…`;
}

/** The text in lines that fit a narrow terminal. */
function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

module.exports = {
  Live,
  bar,
  bold,
  claim,
  claims,
  clockTime,
  count,
  cyan,
  dim,
  formatLong,
  formatRow,
  green,
  ms,
  print,
  quote,
  red,
  row,
  say,
  seconds,
  shorten,
  title,
  yellow,
};
