'use strict';

// The process in which managers meet a fault. Its parent says what to do, one message after the
// other, and gets an answer to each.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');
const { Worker } = require('node:worker_threads');
const { Callers } = require('./callers.js');
const { Orders } = require('./shim.js');
const { make } = require('./make.js');

const INTERVAL_MS = 10;
const KIB_PER_MIB = 1024;
const orders = new Orders();

/** Readings in ms that no step changes, and how much time truly passed while the clocks jumped. */
const clock = {
  passedMs: 0,
  jumpedAt: Number.NEGATIVE_INFINITY,
  endedAt: undefined,
  longestLag: 0,
  /** Since some origin. */
  real: () => performance.now() - orders.monotonicMs,
  /** Since the epoch, as a server has it. */
  now: () => Date.now() - orders.wallMs + clock.passedMs,
};

let settings;
/** The callers by side. */
let sides = new Map();
let ticking;
let lastTick;
let worker;
let files = [];
let isStarved = false;
const socketsAtStart = socketCount();

function socketCount() {
  const isSocket = (descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
    } catch {
      // That of the listing itself.
      return false;
    }
  };
  return fs.readdirSync('/proc/self/fd').filter(isSocket).length;
}

/** One caller of each side. */
function tick() {
  const now = clock.real();
  clock.longestLag = Math.max(clock.longestLag, now - lastTick - INTERVAL_MS);
  lastTick = now;
  // Connections that ended meanwhile gave theirs back.
  if (isStarved) openFiles();
  for (const callers of sides.values()) callers.call();
}

/** Takes all file descriptors that this process may have. */
function openFiles() {
  try {
    while (true) files.push(fs.openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
}

function jump({ truthMs = 0, ...steps }) {
  orders.add(steps);
  clock.passedMs += truthMs;
  clock.jumpedAt = clock.real();
}

/** Lets time pass: all clocks go on by so much. */
const pass = (ms) => jump({ wallMs: ms, monotonicMs: ms, boottimeMs: ms, truthMs: ms });

const methods = {
  start(given) {
    settings = given;
    sides = new Map(
      Object.entries(settings.urls).map(([side, url]) => {
        const makeManager = (logger) => make(side, url, { ...settings, logger });
        return [side, new Callers(makeManager, clock, settings, settings.canary)];
      }),
    );
  },
  prepare: () => Promise.all(Array.from(sides.values(), (callers) => callers.prepare())),
  forget() {
    for (const callers of sides.values()) callers.forget();
  },
  begin() {
    for (const callers of sides.values()) callers.begin();
  },
  call() {
    lastTick = clock.real();
    ticking = setInterval(tick, INTERVAL_MS);
    tick();
  },
  jump,
  pass,
  letNames: (state) => orders.letNames(state),
  /** Blocks the event loop, while more and more time passes. */
  block({ passedMs, seconds }) {
    pass(passedMs[0]);
    spawnSync('sleep', [String(seconds)]);
    pass(passedMs[1]);
  },
  /** Once the connections have ended: what they give back later would be had by a new one. */
  async openFiles() {
    while (socketCount() > socketsAtStart) await delay(INTERVAL_MS);
    isStarved = true;
    openFiles();
  },
  closeFiles() {
    isStarved = false;
    for (const file of files) fs.closeSync(file);
    files = [];
  },
  /** A worker with a manager of its own for each side, all in a flight. */
  startWorker() {
    worker = new Worker(require.resolve('./worker.js'), { workerData: settings });
    worker.on('error', () => {});
  },
  killWorker: () => worker.terminate(),
  end() {
    clock.endedAt = clock.real();
  },
  /** Waits until each side has a new token, for so long at most. */
  async recovered(limitsMs) {
    const start = clock.real();
    const isAwaited = ([side, { isRenewed }]) =>
      !isRenewed && clock.real() - start < limitsMs[side];
    while ([...sides].some(isAwaited)) {
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  },
  /** The figures of each side, after which this process ends: at once, flights or not, or later. */
  async finish({ atOnce }) {
    clearInterval(ticking);
    const figures = Array.from(sides, async ([side, callers]) => [
      side,
      atOnce ? callers.figures() : await callers.result(),
    ]);
    return {
      sides: Object.fromEntries(await Promise.all(figures)),
      memoryMib: Math.round(process.resourceUsage().maxRSS / KIB_PER_MIB),
    };
  },
};

process.on('message', async ({ id, method, args }) => {
  const isLast = method === 'finish';
  let answer;
  try {
    answer = { id, value: await methods[method](...args) };
  } catch (error) {
    answer = { id, error: error.message };
  }
  process.send(answer, () => isLast && process.exit());
});
process.on('disconnect', () => process.exit());
