'use strict';

// The process in which managers meet a fault. Its parent, `run.js`, calls its methods.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');
const { Worker } = require('node:worker_threads');
const { Callers } = require('./callers.js');
const { socketCount } = require('../measure.js');
const { serve } = require('../remote.js');
const { Orders } = require('./shim.js');
const { make } = require('./make.js');

const INTERVAL_MS = 10;
const orders = new Orders();

/** The true time in ms, without the clocks' jumps. */
const clock = {
  passedMs: 0,
  jumpedAt: Number.NEGATIVE_INFINITY,
  longestLag: 0,
  /** The true time since an arbitrary origin. */
  real: () => performance.now() - orders.monotonicMs,
  /** The true time since the epoch, as on the server. */
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

/** Makes one call to each side. */
function tick() {
  const now = clock.real();
  clock.longestLag = Math.max(clock.longestLag, now - lastTick - INTERVAL_MS);
  lastTick = now;
  // Connections that ended since the last tick have released their descriptors by now.
  if (isStarved) openFiles();
  for (const callers of sides.values()) callers.call();
}

/** Opens files until this process has no file descriptor left. */
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

/** Moves all clocks ahead, as if this time had passed. */
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
  /** Starts the calls after this time has passed. */
  call(passedMs) {
    for (const callers of sides.values()) callers.begin();
    if (passedMs > 0) pass(passedMs);
    lastTick = clock.real();
    ticking = setInterval(tick, INTERVAL_MS);
    tick();
  },
  jump,
  pass,
  letNames: (state) => orders.letNames(state),
  /** Blocks the event loop while time passes. */
  block({ passedMs, seconds }) {
    pass(passedMs[0]);
    spawnSync('sleep', [String(seconds)]);
    pass(passedMs[1]);
  },
  /**
   * Waits until the connections have ended, because a new connection could use their descriptors.
   */
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
  /** Starts a worker whose managers, one for each side, all request a token. */
  startWorker() {
    worker = new Worker(require.resolve('./make.js'), { workerData: settings });
    worker.on('error', () => {});
  },
  killWorker: () => worker.terminate(),
  /** Waits until each side has a new token or has reached its time limit. */
  async recovered(limitsMs) {
    const start = clock.real();
    const isAwaited = ([side, { isRenewed }]) =>
      !isRenewed && clock.real() - start < limitsMs[side];
    while ([...sides].some(isAwaited)) await delay(INTERVAL_MS);
  },
  /**
   * Returns each side's figures and ends this process; with `atOnce`, it ends during the flights.
   */
  async finish({ atOnce }) {
    clearInterval(ticking);
    const all = [...sides.values()];
    if (!atOnce) await Promise.all(all.map((callers) => callers.settled()));
    return Object.fromEntries(Array.from(sides, ([side, callers]) => [side, callers.figures()]));
  },
};

serve(methods, 'finish');
