'use strict';

// Evaluates the part of PromQL that the alert rules use, over scraped samples. `increase` does not
// extrapolate to the ends of its range, which does not affect a comparison with 0.

const SECONDS = { s: 1, m: 60, h: 3_600 };
const TOKEN = /\s*(\d+(?:\.\d+)?[smh]?|[a-zA-Z_:][\w:]*|"[^"]*"|==|!=|=~|>=|<=|[-(){}[\],=<>])/gy;
const KEYWORDS = ['unless', 'and'];
const COMPARISONS = {
  '>': (one, other) => one > other,
  '<': (one, other) => one < other,
  '==': (one, other) => one === other,
};
const MATCHES = {
  '=': (value, wanted) => value === wanted,
  '!=': (value, wanted) => value !== wanted,
  '=~': (value, wanted) => new RegExp(`^(?:${wanted})$`).test(value),
};

/** Parses the output of a Prometheus exporter. Returns a list of `{ name, labels, value }`. */
function parseSamples(text) {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name, , inner = '', value] = /^([\w:]+)(\{(.*)\})? (\S+)/.exec(line);
    const pairs = inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
    const labels = Object.fromEntries(Array.from(pairs, ([, label, text]) => [label, text]));
    return { name, labels, value: Number(value) };
  });
}

/**
 * Returns a function that takes scrapes and a time, and returns a vector: `[{ labels, value }]`.
 */
function compile(text) {
  const tokens = Array.from(text.matchAll(TOKEN), ([, token]) => token);
  if (tokens.join('') !== text.replace(/\s+/g, '')) throw new Error(`cannot read ${text}`);
  let at = 0;
  const peek = () => tokens[at];
  const take = (expected) => {
    const token = tokens[at];
    if (expected !== undefined && token !== expected) {
      throw new Error(`expected ${expected}, not ${token}, in ${text}`);
    }
    at += 1;
    return token;
  };
  const list = (end, item) => {
    const items = [];
    while (peek() !== end) {
      items.push(item());
      if (peek() === ',') take();
    }
    take(end);
    return items;
  };

  function sets() {
    let left = comparison();
    while (KEYWORDS.includes(peek())) left = setOf(take(), left, comparison());
    return left;
  }

  function comparison() {
    const left = operand();
    if (!(peek() in COMPARISONS)) return left;
    const isTrue = COMPARISONS[take()];
    const limit = Number(take());
    return (...when) => left(...when).filter(({ value }) => isTrue(value, limit));
  }

  function operand() {
    if (peek() === '(') {
      take();
      const inner = sets();
      take(')');
      return inner;
    }
    if (peek() === 'sum') return sum();
    if (peek() === 'increase') {
      take();
      take('(');
      const series = selector();
      take('[');
      const range = take();
      const seconds = Number(range.slice(0, -1)) * SECONDS[range.at(-1)];
      take(']');
      take(')');
      return (scrapes, now) => increase(scrapes, now, series, seconds);
    }
    const matches = selector();
    return (scrapes, now) => {
      const last = scrapes.findLast((scrape) => scrape.at <= now);
      return last.samples.filter(matches).map(({ labels, value }) => ({ labels, value }));
    };
  }

  function sum() {
    take('sum');
    take('by');
    take('(');
    const names = list(')', take);
    take('(');
    const inner = sets();
    take(')');
    return (...when) => {
      const groups = new Map();
      for (const { labels, value } of inner(...when)) {
        const kept = Object.fromEntries(names.map((name) => [name, labels[name] ?? '']));
        const key = keyOf(kept);
        groups.set(key, { labels: kept, value: value + (groups.get(key)?.value ?? 0) });
      }
      return [...groups.values()];
    };
  }

  function selector() {
    const name = peek() === '{' ? undefined : take();
    const matchers = name === undefined ? [] : [(sample) => sample.name === name];
    if (peek() === '{') {
      take();
      matchers.push(
        ...list('}', () => {
          const label = take();
          const isMatch = MATCHES[take()];
          const wanted = take().slice(1, -1);
          const read = label === '__name__' ? ({ name }) => name : ({ labels }) => labels[label];
          return (sample) => isMatch(read(sample) ?? '', wanted);
        }),
      );
    }
    return (sample) => matchers.every((matches) => matches(sample));
  }

  const expression = sets();
  if (at < tokens.length) throw new Error(`unexpected ${peek()} in ${text}`);
  return expression;
}

const keyOf = (labels) => JSON.stringify(Object.entries(labels).sort());

function setOf(operator, left, right) {
  return (...when) => {
    const others = new Set(right(...when).map(({ labels }) => keyOf(labels)));
    const isKept = ({ labels }) => others.has(keyOf(labels)) === (operator === 'and');
    return left(...when).filter(isKept);
  };
}

function increase(scrapes, now, matches, seconds) {
  const series = new Map();
  for (const { at, samples } of scrapes) {
    if (at > now || at <= now - seconds) continue;
    for (const { labels, value } of samples.filter(matches)) {
      const key = keyOf(labels);
      const known = series.get(key);
      // As in Prometheus, an increase needs two samples.
      const grown = known === undefined ? 0 : value - known.last + known.value;
      series.set(key, { labels, last: value, value: grown, count: (known?.count ?? 0) + 1 });
    }
  }
  const pairs = [...series.values()].filter(({ count }) => count > 1);
  return pairs.map(({ labels, value }) => ({ labels, value }));
}

/**
 * Returns the alerts that fire at the last scrape: those whose condition was true at every scrape
 * during the rule's time `for`.
 */
function firing(rules, scrapes) {
  return rules.filter(({ expr, for: duration = '0s' }) => {
    const condition = compile(expr);
    const seconds = Number(duration.slice(0, -1)) * SECONDS[duration.at(-1)];
    const end = scrapes.at(-1).at;
    const first = scrapes.findLastIndex(({ at }) => condition(scrapes, at).length === 0);
    const since = scrapes[first + 1]?.at;
    return since !== undefined && end - since >= seconds;
  });
}

module.exports = { compile, firing, parseSamples };
