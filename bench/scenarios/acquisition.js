'use strict';

// What one acquisition costs the caller and the main thread. Both clients resume TLS sessions as
// they do by default.

const {
  absolute,
  compare,
  interleave,
  threadCpuNs,
  threadCpuOverheadNs,
} = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { makeOurs, makePlain } = require('../sides.js');

const BLOCK = 30;
/**
 * Blocks that do not count. Few, since a process acquires one token in minutes: over a thousand in a
 * row Node optimises its own client, which then needs half the CPU time.
 */
const WARM_UP = 2;

/**
 * One block of acquisitions: how long each took in ms, and CPU time per acquisition in µs, of the
 * main thread and of the whole process.
 */
async function acquireBlock(manager, overheadNs) {
  const wall = [];
  const processBefore = process.cpuUsage();
  const before = threadCpuNs();
  for (let i = 0; i < BLOCK; i += 1) {
    const start = performance.now();
    manager.clearCache();
    await manager.getToken();
    wall.push(performance.now() - start);
  }
  // What a client leaves for later is on its own account.
  await new Promise((resolve) => setImmediate(resolve));
  const main = (threadCpuNs() - before - overheadNs) / 1000 / BLOCK;
  const { user, system } = process.cpuUsage(processBefore);
  return { wall, main, all: (user + system) / BLOCK };
}

async function measure(url, blocks) {
  const managers = { ours: makeOurs(url), plain: makePlain(url) };
  const wall = { ours: [], plain: [] };
  const main = { ours: [], plain: [] };
  const all = { ours: [], plain: [] };
  const overheadNs = threadCpuOverheadNs();
  const turns = Object.entries(managers).map(([name, manager]) => async (round) => {
    const block = await acquireBlock(manager, overheadNs);
    if (round < WARM_UP) return;
    wall[name].push(...block.wall);
    main[name].push(block.main);
    all[name].push(block.all);
  });
  await interleave(WARM_UP + blocks, turns);
  await managers.ours.close();
  return { wall, main, all, acquisitions: 2 * (WARM_UP + blocks) * BLOCK };
}

function rows(label, { wall, main, all }, limits) {
  const sides = ({ ours, plain }) => ({ ours, other: plain });
  return [
    compare({ figure: `${label}, wall`, unit: 'ms', ...sides(wall), atMost: limits.wall }),
    compare({
      figure: `${label}, main-thread CPU`,
      unit: 'µs',
      ...sides(main),
      atMost: limits.cpu,
    }),
    compare({ figure: `${label}, CPU of all threads`, unit: 'µs', ...sides(all) }),
  ];
}

async function run({ quick, tls }) {
  const blocks = quick ? 5 : 20;

  const http = await startEndpoint();
  const warm = await measure(http.url, blocks);
  const { connections } = await http.counts();
  http.stop();

  const https = await startEndpoint({ tls, closeConnections: true });
  const fresh = await measure(https.url, blocks);
  const opened = (await https.counts()).connections;
  https.stop();
  if (opened !== fresh.acquisitions) {
    throw new Error(`${opened} connections for ${fresh.acquisitions} acquisitions over https`);
  }

  return {
    rows: [
      ...rows('acquire, warm http', warm, { wall: 0.9, cpu: 0.35 }),
      absolute({
        figure: 'acquire, warm http, connections',
        unit: '',
        ours: connections,
        atMost: 4,
      }),
      ...rows('acquire, new https connection', fresh, { wall: 0.7, cpu: 0.1 }),
    ],
    notes: [
      `${blocks * BLOCK} acquisitions for each side, in ${blocks} interleaved blocks of ${BLOCK}, ` +
        `after ${WARM_UP * BLOCK} to warm up.`,
      'After a thousand in a row the plain class needs half the CPU time, and the ratio doubles.',
      'A new https connection resumes a TLS session where the client does so by default.',
    ],
  };
}

module.exports = { title: 'Acquisition, endpoint in another process', run };
