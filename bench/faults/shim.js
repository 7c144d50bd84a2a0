'use strict';

// Builds libc-shim.c and writes its orders: the offsets of the clocks of a process, and the results
// of its look-ups of names.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const NS_PER_MS = 1e6;
const ORDERS = ['wallMs', 'monotonicMs', 'boottimeMs', 'names'];
const BYTES_PER_ORDER = 8;
/** The time limit for writing an order, on a busy machine. */
const TOLERANCE_MS = 1_000;
const NAMES = { work: 0, fail: 1, hang: 2 };

/** Compiles the shim into a folder with the linker of Rust; returns its file. */
function buildShim(folder) {
  if (process.platform !== 'linux') {
    throw new Error('the clocks are changed with LD_PRELOAD, which exists only on Linux');
  }
  const file = path.join(folder, 'libc-shim.so');
  const source = path.join(__dirname, 'libc-shim.c');
  const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', file, source, '-ldl']);
  return file;
}

/** Creates `ordersFile`, and returns the environment of a process that follows it. */
function shimmed(shim, ordersFile) {
  fs.writeFileSync(ordersFile, Buffer.alloc(ORDERS.length * BYTES_PER_ORDER));
  return { LD_PRELOAD: shim, FAULT_SHIM_FILE: ordersFile };
}

/** The orders of this process. */
class Orders {
  #file = fs.openSync(process.env.FAULT_SHIM_FILE, 'r+');
  #values = { wallMs: 0, monotonicMs: 0, boottimeMs: 0, names: NAMES.work };

  get wallMs() {
    return this.#values.wallMs;
  }

  get monotonicMs() {
    return this.#values.monotonicMs;
  }

  /** Moves the clocks. */
  add({ wallMs = 0, monotonicMs = 0, boottimeMs = 0 }) {
    this.#values.wallMs += wallMs;
    this.#values.monotonicMs += monotonicMs;
    this.#values.boottimeMs += boottimeMs;
    const [wall, monotonic] = [Date.now(), performance.now()];
    this.#write();
    const isOff = (moved, meant) => Math.abs(moved - meant) > TOLERANCE_MS;
    if (isOff(Date.now() - wall, wallMs) || isOff(performance.now() - monotonic, monotonicMs)) {
      throw new Error('the clocks of this process did not change as ordered');
    }
  }

  /** Makes look-ups `work`, `fail` or `hang`. */
  letNames(state) {
    this.#values.names = NAMES[state];
    this.#write();
  }

  #write() {
    const bytes = Buffer.alloc(ORDERS.length * BYTES_PER_ORDER);
    ORDERS.forEach((order, index) => {
      const value = this.#values[order] * (order === 'names' ? 1 : NS_PER_MS);
      bytes.writeBigInt64LE(BigInt(Math.round(value)), index * BYTES_PER_ORDER);
    });
    fs.writeSync(this.#file, bytes, 0, bytes.length, 0);
  }
}

module.exports = { Orders, buildShim, shimmed };
