'use strict';

// Draws plots as SVG with Vega-Lite, which needs no browser. The same input gives the same bytes. A
// plot has no background, and every colour is legible on white and on black.

const TEXT = '#7d8590';
const OURS = '#2f81f7';
const WORSE = '#e5793a';
const text = { labelColor: TEXT, titleColor: TEXT, labelFontSize: 12, titleFontSize: 12 };
const config = {
  background: 'transparent',
  font: 'sans-serif',
  aria: false,
  axis: { ...text, titleFontWeight: 'normal', gridColor: TEXT, gridOpacity: 0.25 },
  view: { stroke: null },
};

/**
 * Draws a bar for each ratio. The bars start at 1.
 * @param {{ name: string, ratio: number, note: string }[]} bars
 */
async function drawRatios(bars) {
  const values = bars.map(({ name, ratio, note }) => ({
    label: `${name}\n${note}`,
    ratio,
    shown: `${Number(ratio.toPrecision(2))} ×`,
  }));
  // Leaves room for the text beside the longest bar.
  const domainMin = Math.min(...bars.map(({ ratio }) => ratio)) / 10;
  const isWorse = 'datum.ratio > 1';
  return draw({
    width: 380,
    height: { step: 40 },
    data: { values },
    encoding: {
      x: {
        field: 'ratio',
        type: 'quantitative',
        axis: {
          title: 'keycloak-token-manager / the best other side of all measured sides',
          // Makes labels such as 10k and 0.01.
          labelExpr: "format(datum.value, datum.value < 1000 ? '~g' : '~s')",
          tickCount: 4,
        },
        scale: { type: 'log', nice: true, domainMin },
      },
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
          color: { condition: { test: isWorse, value: WORSE }, value: OURS },
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

const SIZE = { width: 380, height: 220 };

/** Returns the encoding of a field on a logarithmic axis with labels such as 10k. */
function logarithmic(field, title, values, scale = {}) {
  const axis = { format: '~s', values, title };
  return { field, type: 'quantitative', axis, scale: { type: 'log', ...scale } };
}

/**
 * Draws the logins per hour and client over the number of replicas. Each series has a line through
 * the fleets with one client, and a point for each fleet.
 * @param {{ [name: string]: { replicas: number, keys: number, hours: number, logins: number }[] }}
 *   series
 */
function drawFleets(series) {
  const values = Object.entries(series).flatMap(([name, rows]) =>
    rows.map(({ replicas, keys, hours, logins }) => ({
      name,
      replicas,
      keys,
      perHour: logins / hours / keys,
    })),
  );
  const ofOneClient = { transform: [{ filter: 'datum.keys === 1' }] };
  const most = Math.max(...values.map(({ replicas }) => replicas));
  const ticks = [1, 10, 100, 1_000, 10_000];
  return draw({
    ...SIZE,
    data: { values },
    encoding: {
      x: logarithmic('replicas', 'replicas', ticks),
      y: logarithmic('perHour', 'logins per hour and client', ticks, { domainMin: 10 }),
      color: { field: 'name', legend: null, scale: { range: [OURS, WORSE] }, sort: null },
    },
    layer: [
      { ...ofOneClient, mark: 'line' },
      { mark: { type: 'point', filled: true, size: 40 } },
      {
        transform: [{ filter: `datum.keys === 1 && datum.replicas === ${most}` }],
        mark: { type: 'text', align: 'right', dy: -12 },
        encoding: { text: { field: 'name' } },
      },
    ],
  });
}

/**
 * Draws the memory of a derived manager over the number of managers, and the bar as a dashed line.
 * @param {{ managers: number, kib: number, barKib: number }[]} points
 */
function drawMemory(points) {
  const values = points.map((point) => ({ ...point, shown: point.kib.toPrecision(2) }));
  const counts = values.map(({ managers }) => managers);
  return draw({
    ...SIZE,
    data: { values },
    encoding: {
      x: logarithmic('managers', 'managers', counts),
      y: logarithmic('kib', 'KiB per manager', [1, 3, 10, 30, 100], { domainMin: 1 }),
    },
    layer: [
      {
        mark: { type: 'line', color: WORSE, strokeDash: [4, 4] },
        encoding: { y: { field: 'barKib', type: 'quantitative' } },
      },
      { mark: { type: 'line', color: OURS, point: { color: OURS, size: 40 } } },
      {
        mark: { type: 'text', color: TEXT, dy: -12 },
        encoding: { text: { field: 'shown' } },
      },
    ],
  });
}

async function draw(plot) {
  // npm installs these packages with the rivals, so a bare checkout does not have them.
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const { spec } = compile({ config, ...plot });
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  return `${await view.toSVG()}\n`;
}

module.exports = { drawFleets, drawMemory, drawRatios };
