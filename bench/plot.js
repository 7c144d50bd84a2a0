'use strict';

// Draws curves and bars as SVG with Vega-Lite, which needs no browser. The same input gives the
// same bytes. The plots have no background, and every colour is legible on white and on black.

const TEXT = '#7d8590';
/** Ours is the first. */
const OURS = '#2f81f7';
const OTHERS = '#e5793a #2da44e #a371f7 #d4a017 #db61a2 #1b9aaa #a0785a #808890 #f0655c'.split(' ');
const text = { labelColor: TEXT, titleColor: TEXT, labelFontSize: 12, titleFontSize: 12 };
/** Labels such as 10k and 0.01. */
const labelExpr = "format(datum.value, datum.value < 1000 ? '~g' : '~s')";
const config = {
  background: 'transparent',
  font: 'sans-serif',
  aria: false,
  title: { color: TEXT, subtitleColor: TEXT, fontSize: 15, subtitleFontSize: 12 },
  axis: { ...text, titleFontWeight: 'normal', gridColor: TEXT, gridOpacity: 0.25 },
  legend: { ...text, orient: 'bottom', direction: 'vertical', labelLimit: 0, title: null },
  view: { stroke: null },
};

function axis({ title, log = false }) {
  return {
    type: 'quantitative',
    axis: { title, labelExpr, tickCount: log ? 4 : 8 },
    scale: log ? { type: 'log', nice: true } : { zero: false, nice: false },
  };
}

/** Draws a curve of a scenario. */
function drawCurve({ id, title, x, y, lines }) {
  const names = lines.map(({ name }) => name);
  const values = lines.flatMap(({ name, points }) =>
    points.map(([across, up]) => ({ name, across, up })),
  );
  const isDrawable = (value, { log }) => Number.isFinite(value) && (!log || value > 0);
  const lost = values.find(({ across, up }) => !isDrawable(across, x) || !isDrawable(up, y));
  const short = lines.find(({ points }) => points.length < 2);
  if (lost ?? short) throw new Error(`${id}: cannot draw the line "${(lost ?? short).name}"`);
  if (lines.length > OTHERS.length + 1) throw new Error(`${id}: too many lines`);
  return render({
    title,
    width: 680,
    height: 300,
    data: { values },
    mark: 'line',
    encoding: {
      x: { field: 'across', ...axis(x) },
      y: { field: 'up', ...axis(y) },
      color: { field: 'name', scale: { domain: names, range: [OURS, ...OTHERS] } },
    },
  });
}

/**
 * Draws a bar for each ratio, which starts at 1.
 * @param {object} plot
 * @param {string} plot.title
 * @param {string} plot.subtitle
 * @param {{ name: string, ratio: number, note: string }[]} plot.bars
 */
function drawRatios({ title, subtitle, bars }) {
  const values = bars.map(({ name, ratio, note }) => ({
    label: `${name}\n${note}`,
    ratio,
    shown: `${Number(ratio.toPrecision(2))} ×`,
  }));
  const x = axis({ title: 'ours / the best other side (less is better)', log: true });
  // Leaves room for the text beside the longest bar.
  x.scale.domainMin = Math.min(...values.map(({ ratio }) => ratio)) / 10;
  const isWorse = 'datum.ratio > 1';
  return render({
    title: { text: title, subtitle },
    width: 380,
    height: { step: 40 },
    data: { values },
    encoding: {
      x: { field: 'ratio', ...x },
      y: {
        field: 'label',
        sort: null,
        axis: { title: null, labelLimit: 0, labelExpr: "split(datum.label, '\\n')" },
      },
    },
    layer: [
      {
        mark: { type: 'bar', size: 14 },
        encoding: {
          x2: { datum: 1 },
          color: { condition: { test: isWorse, value: OTHERS[0] }, value: OURS },
        },
      },
      {
        mark: {
          type: 'text',
          color: TEXT,
          align: { expr: `${isWorse} ? 'left' : 'right'` },
          dx: { expr: `${isWorse} ? 4 : -4` },
        },
        encoding: { text: { field: 'shown' } },
      },
    ],
  });
}

async function render(spec) {
  // These packages are installed with the rivals, so a bare checkout does not have them.
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const view = new vega.View(vega.parse(compile({ config, ...spec }).spec), { renderer: 'none' });
  return `${await view.toSVG()}\n`;
}

module.exports = { drawCurve, drawRatios };
