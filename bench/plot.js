'use strict';

// Curves and bars as SVG, by Apache ECharts without a browser. The same input gives the same bytes.
// There is no background, and every colour stands out from white and from black alike.

const WIDTH = 760;
/** Without the legend, which has a row for each line: ECharts only guesses the width of text. */
const HEIGHT = 380;
const LEGEND_ROW = 20;
const BAR_HEIGHT = 34;
const TEXT = '#7d8590';
const GRID = 'rgba(125,133,144,0.25)';
/** Ours is the first. */
const COLOURS = [
  ...['#2f81f7', '#e5793a', '#2da44e', '#a371f7', '#d4a017', '#db61a2'],
  ...['#1b9aaa', '#a0785a', '#808890', '#f0655c'],
];
const WIDEST_LABEL = 320;
const COORDINATE = /[-\d.]+(?:e-?\d+)?[ ,][-\d.]+(?:e-?\d+)?/g;

const text = { color: TEXT, fontFamily: 'sans-serif', fontSize: 12 };
const plain = { animation: false, backgroundColor: 'transparent', textStyle: text };

function heading(title, subtext) {
  return {
    text: title,
    subtext,
    left: 'center',
    top: 8,
    textStyle: { ...text, fontSize: 15 },
    subtextStyle: text,
  };
}

function axis({ title, log = false }, places) {
  return {
    type: log ? 'log' : 'value',
    name: title,
    nameLocation: 'middle',
    nameTextStyle: text,
    axisLabel: { ...text, formatter: short },
    axisLine: { show: true, lineStyle: { color: TEXT } },
    splitLine: { lineStyle: { color: GRID } },
    ...places,
  };
}

/** 10000 as 10k, 0.0100 as 0.01. */
function short(value) {
  const [size, letter] = Object.entries({ M: 1e6, k: 1e3 })
    .map(([name, unit]) => [unit, name])
    .find(([unit]) => Math.abs(value) >= unit) ?? [1, ''];
  return `${Number((value / size).toPrecision(3))}${letter}`;
}

function bounds(values, log) {
  if (!log) return {};
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return { min: 10 ** Math.floor(Math.log10(least)), max: 10 ** Math.ceil(Math.log10(most)) };
}

function check({ id, x, y, lines }) {
  for (const { name, points } of lines) {
    const isDrawable = ([across, up]) =>
      Number.isFinite(across) &&
      Number.isFinite(up) &&
      (!x.log || across > 0) &&
      (!y.log || up > 0);
    if (points.length < 2 || !points.every(isDrawable)) {
      throw new Error(`the line "${name}" of the curve ${id} cannot be drawn`);
    }
  }
  if (lines.length > COLOURS.length) throw new Error(`the curve ${id} has too many lines`);
}

/** A curve as a scenario gives it. */
function drawCurve(curve) {
  check(curve);
  const { title, x, y, lines } = curve;
  const all = lines.flatMap(({ points }) => points);
  const xs = all.map(([across]) => across);
  const ys = all.map(([, up]) => up);
  const linear = { min: Math.min(...xs), max: Math.max(...xs) };
  const legendHeight = LEGEND_ROW * lines.length;
  const svg = render(WIDTH, HEIGHT + legendHeight, {
    ...plain,
    title: heading(title),
    legend: {
      ...{ orient: 'vertical', bottom: 6, left: 72, itemGap: 6, textStyle: text },
      ...{ icon: 'roundRect', itemHeight: 4, itemWidth: 18 },
    },
    grid: { left: 76, right: 28, top: 48, bottom: 60 + legendHeight },
    xAxis: axis(x, { nameGap: 28, ...(x.log ? bounds(xs, true) : linear) }),
    yAxis: axis(y, { nameGap: 54, ...bounds(ys, y.log) }),
    series: lines.map(({ name, points }, index) => ({
      ...{ type: 'line', name, data: points, color: COLOURS[index] },
      ...{ symbol: 'none', silent: true, emphasis: { disabled: true } },
      // Ours on top.
      z: lines.length - index,
      lineStyle: { width: index === 0 ? 3 : 1.75 },
    })),
  });
  for (const [index, { name, points }] of lines.entries()) {
    if (pointsDrawn(svg, COLOURS[index]) !== points.length) {
      throw new Error(`the line "${name}" of the curve ${curve.id} lacks points`);
    }
  }
  return svg;
}

/** How many points the line of that colour has in the finished plot. */
function pointsDrawn(svg, colour) {
  const isOfLine = (path) => path.includes('fill="none"') && path.includes(`stroke="${colour}"`);
  return [...svg.matchAll(/<path [^>]*>/g)]
    .filter(([path]) => isOfLine(path))
    .map(([path]) => / d="([^"]+)"/.exec(path)[1].match(COORDINATE)?.length ?? 0)
    .reduce((most, count) => Math.max(most, count), 0);
}

/**
 * Bars that show a ratio, 1 in the middle of what they say.
 * @param {{ title: string, subtitle: string, bars: { name: string, ratio: number, note: string }[] }} plot
 */
function drawRatios({ title, subtitle, bars }) {
  const ratios = bars.map(({ ratio }) => ratio);
  const { min } = bounds([...ratios, 0.1], true);
  const { max } = bounds([...ratios, 1], true);
  const shown = [...bars].reverse();
  const svg = render(WIDTH, 116 + BAR_HEIGHT * bars.length, {
    ...plain,
    title: heading(title, subtitle),
    grid: { left: WIDEST_LABEL, right: 40, top: 60, bottom: 46 },
    xAxis: axis(
      { title: 'ours / the best other side (less is better)', log: true },
      { nameGap: 26, min, max },
    ),
    yAxis: {
      type: 'category',
      data: shown.map(({ name, note }) => `${name}\n${note}`),
      axisLabel: { ...text, lineHeight: 14, width: WIDEST_LABEL - 16, overflow: 'break' },
      axisTick: { show: false },
      axisLine: { show: false },
    },
    series: [
      {
        ...{ type: 'bar', silent: true, emphasis: { disabled: true }, barWidth: 14 },
        data: shown.map(({ ratio }) => ({
          value: ratio,
          itemStyle: { color: COLOURS[ratio <= 1 ? 0 : 1] },
        })),
        label: {
          ...{ show: true, position: 'right', ...text },
          formatter: ({ value }) => `${Number(value.toPrecision(2))} ×`,
        },
        markLine: {
          ...{ silent: true, symbol: 'none', label: { show: false } },
          lineStyle: { color: TEXT, type: 'dashed' },
          data: [{ xAxis: 1 }],
        },
      },
    ],
  });
  for (const { name } of bars) {
    if (!svg.includes(name)) throw new Error(`the bar "${name}" is not drawn`);
  }
  return svg;
}

function render(width, height, option) {
  // Installed beside the rivals, so not there in a bare checkout.
  const { init } = require('echarts');
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption(option);
  const svg = chart.renderToSVGString({ useViewBox: true });
  chart.dispose();
  return `${bare(svg)}\n`;
}

/** Without what only a page with a script would use, and without names that count the charts. */
function bare(svg) {
  return svg
    .replaceAll(/<style\b[\s\S]*?<\/style>\s*/g, '')
    .replaceAll(/ (?:class|pointer-events|ecmeta_\w+)="[^"]*"/g, '')
    .replaceAll(/\bzr\d+-/g, '')
    .replaceAll('></path>', '/>')
    .replaceAll('></rect>', '/>');
}

module.exports = { drawCurve, drawRatios };
