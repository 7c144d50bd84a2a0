'use strict';

// Builds libc-shim.c and writes its orders: the offsets of a process's clocks, and the results of
// its name look-ups.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The time limit for writing an order, on a busy machine. */
const TOLERANCE_MS = 1_000;
const NAMES = { work: 0n, fail: 1n, hang: 2n };

/** Compiles the shim into a folder; returns the library's path. */
function buildShim(folder) {
  if (process.platform !== 'linux') {
    throw new Error('the shim changes clocks with LD_PRELOAD, which exists only on Linux');
  }
  const file = path.join(folder, 'libc-shim.so');
  const source = path.join(__dirname, 'libc-shim.c');
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', file, source, '-ldl']);
  return file;
}

/** Creates `ordersFile`, and returns the environment for a process that follows it. */
function shimmed(shim, ordersFile) {
  fs.writeFileSync(ordersFile, new BigInt64Array(4));
  return { LD_PRELOAD: shim, FAULT_SHIM_FILE: ordersFile };
}

/** The orders of this process. */
class Orders {
  wallMs = 0;
  monotonicMs = 0;
  #boottimeMs = 0;
  #names = NAMES.work;
  #file = fs.openSync(process.env.FAULT_SHIM_FILE, 'r+');

  /** Moves the clocks. */
  add({ wallMs = 0, monotonicMs = 0, boottimeMs = 0 }) {
    this.wallMs += wallMs;
    this.monotonicMs += monotonicMs;
    this.#boottimeMs += boottimeMs;
    const [wall, monotonic] = [Date.now(), performance.now()];
    this.#write();
    const isOff = (moved, meant) => Math.abs(moved - meant) > TOLERANCE_MS;
    if (isOff(Date.now() - wall, wallMs) || isOff(performance.now() - monotonic, monotonicMs)) {
      throw new Error('the clocks of this process did not change as ordered');
    }
  }

  /** Makes look-ups `work`, `fail` or `hang`. */
  letNames(state) {
    this.#names = NAMES[state];
    this.#write();
  }

  #write() {
    const ns = [this.wallMs, this.monotonicMs, this.#boottimeMs].map((ms) => BigInt(ms) * 1000000n);
    const orders = BigInt64Array.of(...ns, this.#names);
    fs.writeSync(this.#file, orders, 0, orders.byteLength, 0);
  }
}

module.exports = { Orders, buildShim, shimmed };
