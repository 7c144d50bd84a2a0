'use strict';

// The table in words: for a terminal, and as the document that is kept.

const { LIFE_SECONDS, BUFFER_SECONDS, REQUEST_TIMEOUT_MS } = require('./table.js');
const { SIDES, SITUATIONS } = require('./run.js');

const TITLES = { held: 'token held', none: 'no token' };
const COLUMNS = SITUATIONS.flatMap((situation) => SIDES.map((side) => ({ situation, side })));
/** Less is at once. */
const AT_ONCE_MS = 50;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const failed = ({ failures }) => sum(Object.values(failures));
const bare = (code) => code.replace('ERR_KEYCLOAK_', '');
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** The results of one side's callers, worst first; `mark` highlights them. */
function words(row, situation, figures, mark = (text) => text) {
  if (figures === undefined) return '–';
  const { calls, hung, expired, late, shown, waited, failures, how, exitMs } = figures;
  const lost = row.mayRenew?.includes(situation) ? 0 : figures.lost;
  const codes = Object.entries(failures).map(([code, count]) => `${count} ${bare(code)}`);
  const fails = situation === 'none' && codes.length > 0;
  const isServed = lost + hung + expired + codes.length === 0 && !row.exits;
  return [
    [how !== 'code 0', mark(`ended with ${how}`)],
    [row.exits, `ended in ${seconds(exitMs)}`],
    [isServed, waited > 0 ? `served, ${waited} waited` : 'served'],
    [lost > 0, mark(`${lost} of ${calls} lost`)],
    [hung > 0, mark(`${hung} hung`)],
    [expired > 0, mark(`${expired} expired`)],
    [late > 0, `${late} late`],
    [fails, codes.join(', ')],
    [shown.length > 0, mark(`secret in ${shown.join(', ')}`)],
    [fails, back(figures)],
    [row.isHeavy, `${figures.memoryMib} MiB`],
    [true, `${figures.requests} req`],
  ]
    .filter(([isSaid]) => isSaid)
    .map(([, part]) => part)
    .join(' · ');
}

function back({ isRenewed, backMs }) {
  if (!isRenewed) return 'not back';
  return backMs < AT_ONCE_MS ? 'back at once' : `back in ${seconds(backMs)}`;
}

/** The sums of one side over all rows. */
function totals(table, side) {
  const cells = table.flatMap(({ row, result }) =>
    Object.entries(result).map(([situation, sides]) => ({
      figures: sides[side],
      mayRenew: row.mayRenew?.includes(situation),
    })),
  );
  const of = (figure) => sum(cells.map(figure));
  return {
    calls: of(({ figures }) => figures.calls),
    lost: of(({ mayRenew, figures }) => (mayRenew ? 0 : figures.lost)),
    hung: of(({ figures }) => figures.hung),
    expired: of(({ figures }) => figures.expired),
    shown: of(({ figures }) => figures.shown.length),
    requests: of(({ figures }) => figures.requests),
  };
}

const INTRODUCTION = [
  'One caller is due every 10 ms on each side; a fault lasts 2 s or longer. Tokens live',
  `${LIFE_SECONDS} s, the buffer is ${BUFFER_SECONDS} s, as by default; \`requestTimeoutMs\`, for the ` +
    `plain class its socket timeout, is ${REQUEST_TIMEOUT_MS}.`,
  'A held token is valid and due for replacement when the fault strikes; where clocks jump or the',
  'event loop is blocked it is fresh, and comes to its end meanwhile. To let a token come to its',
  'age, all clocks jump ahead.',
  '',
  '| word | means |',
  '| --- | --- |',
  '| served | everybody got a valid token; so many waited for it, as none was held |',
  '| lost | callers who failed or waited though a token was held that the server honoured |',
  '| hung | callers who waited over 1 s longer than `requestTimeoutMs`, or than until they left |',
  '| expired | tokens handed out after their end, and later than 1 s after a clock jumped |',
  '| late | the same within that second, which the contract allows |',
  '| a code | why callers failed for whom there was no token; `ERR_KEYCLOAK_` is left out |',
  '| back | from the end of the fault to the first token |',
  '| req | requests at the endpoint, until both sides were back |',
];
const RENEWALS = [
  'Where the wall clock runs ahead, ours and the plain class believe it, as nothing tells such a',
  'step from a suspend: the token counts as over, and callers wait for the next one.',
];

/** The table as lines for a terminal, a block for each situation. */
function lines(table) {
  return SITUATIONS.flatMap((situation) => {
    const grid = [
      [TITLES[situation], ...SIDES],
      ...table
        .filter(({ result }) => result[situation])
        .map(({ row, result }) => [
          row.name,
          ...SIDES.map((side) => words(row, situation, result[situation][side])),
        ]),
    ];
    const widths = grid[0].map((_, column) => Math.max(...grid.map((line) => line[column].length)));
    const lay = (line) => line.map((cell, column) => cell.padEnd(widths[column])).join('  ');
    return ['', ...grid.map((line) => lay(line).trimEnd())];
  });
}

const tableLine = (items) => `| ${items.join(' | ')} |`;
const tableHead = (titles, align = []) => [
  tableLine(titles),
  tableLine(titles.map((_, column) => align[column] ?? '---')),
];

function totalsTable(table) {
  const [ours, plain] = SIDES.map((side) => totals(table, side));
  const line = (title, figure) => tableLine([title, ours[figure], plain[figure]]);
  return [
    ...tableHead(['all rows together', 'ours', 'plain'], ['---', '---:', '---:']),
    line('calls', 'calls'),
    line('callers who lost a valid token', 'lost'),
    line('callers who hung', 'hung'),
    line('expired tokens handed out', 'expired'),
    line('places with a secret', 'shown'),
    line('requests at the endpoint', 'requests'),
  ];
}

function figuresTable(table) {
  const titles = ['fault', 'token', 'side', 'calls', 'served', 'failed', 'waited', 'lost'];
  const more = ['hung', 'expired', 'late', 'requests', 'back, ms', 'peak, MiB'];
  const all = [...titles, ...more];
  const body = table.flatMap(({ row, result }) =>
    Object.entries(result).flatMap(([situation, sides]) =>
      SIDES.map((side) => {
        const f = sides[side];
        const counts = [f.calls, f.served, failed(f), f.waited, f.lost, f.hung, f.expired, f.late];
        const back = f.backMs === undefined ? '–' : Math.round(f.backMs);
        return tableLine([
          ...[row.name, situation, side, ...counts, f.requests, back, f.memoryMib],
        ]);
      }),
    ),
  );
  return [
    ...tableHead(
      all,
      all.map((_, column) => (column < 3 ? '---' : '---:')),
    ),
    ...body,
  ];
}

/** The document. `about` says when and where it was measured. */
function markdown(table, about) {
  const titles = COLUMNS.map(({ situation, side }) => `${TITLES[situation]}: ${side}`);
  const bold = (text) => `**${text}**`;
  const body = table.map(({ row, result }) => {
    const name = row.detail ? `${row.name}: ${row.detail}` : row.name;
    const cells = COLUMNS.map(({ situation, side }) =>
      words(row, situation, result[situation]?.[side], bold),
    );
    return tableLine([name, ...cells]);
  });
  return [
    '# What faults do to callers',
    '',
    'Ours beside the class that it replaces, as that class was. `npm run bench -- faults` writes',
    'this file, and `npm test` holds ours to what is promised.',
    ...['', about, '', ...tableHead(['fault', ...titles]), ...body, ''],
    ...[...INTRODUCTION, '', ...RENEWALS, '', ...totalsTable(table), ''],
    ...['<details><summary>All figures</summary>', '', ...figuresTable(table), ''],
    'Both sides share a process and its peak of memory, but for the flood and the exit.',
    ...['', '</details>', ''],
  ].join('\n');
}

module.exports = { lines, markdown, totals };
