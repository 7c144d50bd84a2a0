'use strict';

// Formats the table's results as Markdown, with totals.

const { LIFE_SECONDS, BUFFER_SECONDS, REQUEST_TIMEOUT_MS } = require('./table.js');
const { SIDES, SITUATIONS } = require('./run.js');

const TITLES = { held: 'token held', none: 'no token' };
/** The titles of the totals over all rows. */
const TOTALS = {
  calls: 'calls',
  lost: 'callers that lost a valid token',
  hung: 'callers that hung',
  expired: 'expired tokens handed out',
  shown: 'places that showed a secret',
  requests: 'requests at the endpoint',
};

const INTRODUCTION = `Callers call each side every 10 ms; a fault lasts 2 s or longer. Tokens live
for ${LIFE_SECONDS} s, the buffer has its default of ${BUFFER_SECONDS} s, and \`requestTimeoutMs\` (for the plain class,
the socket timeout) is ${REQUEST_TIMEOUT_MS}. When a fault begins, a held token is valid and due for replacement.
If the clocks jump or the event loop is blocked, the token is fresh when the fault begins, and
expires during the fault. The bench sets all clocks ahead to let a token reach its age.

| word | means |
| --- | --- |
| served | all callers got a valid token; some waited for it, because the manager held none |
| lost | callers that failed or waited, although the manager held a token that the server accepted |
| hung | callers that waited more than 1 s past \`requestTimeoutMs\`, or past their abort |
| expired | expired tokens that a manager handed out, later than 1 s after a clock jumped |
| late | expired tokens that a manager handed out within that second, which the contract allows |
| a code | the error of callers without a token, without the prefix \`ERR_KEYCLOAK_\` |
| req | requests at the endpoint, until both sides had a new token |

When the wall clock jumps ahead, ours and the plain class trust it, because they cannot distinguish a
jump from a suspend: the token counts as expired, and callers wait for the next one.`;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const mayRenew = (row, situation) => row.mayRenew?.includes(situation) ?? false;

const bold = (text) => `**${text}**`;

/** Returns one side's results, worst first, with violations in bold. */
function words(row, situation, figures) {
  if (figures === undefined) return '–';
  const { calls, hung, expired, late, shown, waited, failures, how, exitMs } = figures;
  const lost = mayRenew(row, situation) ? 0 : figures.lost;
  const codes = Object.entries(failures).map(
    ([code, count]) => `${count} ${code.replace('ERR_KEYCLOAK_', '')}`,
  );
  const fails = situation === 'none' && codes.length > 0;
  const isServed = lost + hung + expired + codes.length === 0 && !row.exits;
  const parts = [
    how !== 'code 0' && bold(`ended with ${how}`),
    row.exits && `ended in ${(exitMs / 1000).toFixed(1)} s`,
    isServed && (waited > 0 ? `served, ${waited} waited` : 'served'),
    lost > 0 && bold(`${lost} of ${calls} lost`),
    hung > 0 && bold(`${hung} hung`),
    expired > 0 && bold(`${expired} expired`),
    late > 0 && `${late} late`,
    fails && codes.join(', '),
    shown.length > 0 && bold(`secret in ${shown.join(', ')}`),
    `${figures.requests} req`,
  ];
  return parts.filter(Boolean).join(' · ');
}

/** Returns one side's totals over all rows, with the keys of `TOTALS`. */
function totals(table, side) {
  const cells = table.flatMap(({ row, result }) =>
    Object.entries(result).map(([situation, sides]) => {
      const { shown, lost, ...figures } = sides[side];
      return { ...figures, shown: shown.length, lost: mayRenew(row, situation) ? 0 : lost };
    }),
  );
  const total = (figure) => sum(cells.map((figures) => figures[figure]));
  return Object.fromEntries(Object.keys(TOTALS).map((figure) => [figure, total(figure)]));
}

const markdownTable = (titles, rows) =>
  [titles, titles.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Returns the table of the faults. */
function faultsTable(table) {
  const columns = SITUATIONS.flatMap((situation) => SIDES.map((side) => [situation, side]));
  return markdownTable(
    ['fault', ...columns.map(([situation, side]) => `${TITLES[situation]}: ${side}`)],
    table.map(({ row, result }) => [
      row.detail ? `${row.name}: ${row.detail}` : row.name,
      ...columns.map(([situation, side]) => words(row, situation, result[situation]?.[side])),
    ]),
  );
}

/** Returns the document. `about` states when and on which machine the bench ran. */
function markdown(table, about) {
  const [ours, plain] = SIDES.map((side) => totals(table, side));
  const together = markdownTable(
    ['all rows together', 'ours', 'plain'],
    Object.entries(TOTALS).map(([key, title]) => [title, ours[key], plain[key]]),
  );
  return `# What faults do to callers

The results of this package and of the class that it replaces. \`npm run bench\` writes this
file, and \`npm test\` checks that this package keeps its contract.

${about}

${faultsTable(table)}

${INTRODUCTION}

${together}
`;
}

module.exports = { TOTALS, faultsTable, markdown, totals };
