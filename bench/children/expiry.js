'use strict';

// Arguments: side, token endpoint, calls per second, seconds. Calls at that rate, whether or not
// earlier calls were answered, and sends what the callers saw.

const { quantile } = require('../measure.js');
const { Floor, loadSide, makeOurs, makePlain } = require('../sides.js');

const [, , side, url, rate, seconds] = process.argv;
const TICK_MS = 1;
const MARGIN_MS = 1000;
const INTERVAL_MS = 1000 / Number(rate);
const calls = Number(rate) * Number(seconds);
/** Of so many calls one is slower than the value that goes with it. */
const ONE_IN = [1.25, 2, 4, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000];

/**
 * A rival with a margin that suits tokens of 10 s: that of the cache around it is 60 s, so that it
 * would never serve such a token twice.
 */
class WithShortMargin {
  #rival;
  #token;
  #freshUntil = 0;
  #pending;

  constructor(rival) {
    this.#rival = rival;
  }

  async getToken() {
    if (Date.now() < this.#freshUntil) return this.#token;
    this.#pending ??= this.#refresh().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #refresh() {
    this.#token = await this.#rival.getToken();
    this.#freshUntil = expiry(this.#token) - MARGIN_MS;
    return this.#token;
  }
}

async function make() {
  if (side === 'ours') return makeOurs(url);
  if (side === 'plain') return makePlain(url, { tokenExpiryBufferSeconds: MARGIN_MS / 1000 });
  if (side === 'floor') return new Floor('token');
  return new WithShortMargin((await loadSide(side))(url));
}

async function main() {
  const manager = await make();
  // Made before, so that no collection of garbage is due to it.
  const latencies = new Float64Array(calls);
  let last = await manager.getToken();
  let exp = expiry(last);
  let [asked, answered, tokens, failures, expired] = [0, 0, 1, 0, 0];

  const call = async () => {
    const start = performance.now();
    try {
      const token = await manager.getToken();
      latencies[answered] = performance.now() - start;
      if (token !== last) {
        last = token;
        tokens += 1;
        exp = expiry(token);
      }
      if (Date.now() >= exp) expired += 1;
    } catch {
      latencies[answered] = performance.now() - start;
      failures += 1;
    }
    answered += 1;
    if (answered === calls) finish();
  };

  const finish = () => {
    const share = (count) => 1 - 1 / count;
    const sorted = latencies.sort();
    const outcome = {
      ...{ calls, tokens, failures, expired },
      p999: quantile(sorted, share(1000)),
      worst: quantile(sorted, 1),
      curve: ONE_IN.filter((count) => count <= calls / 10).map((count) => [
        count,
        quantile(sorted, share(count)),
      ]),
    };
    process.send(outcome, () => process.exit());
  };

  let due = performance.now();
  const timer = setInterval(() => {
    // A late timer makes up for the calls that it missed.
    for (const now = performance.now(); due <= now && asked < calls; due += INTERVAL_MS) {
      asked += 1;
      call();
    }
    if (asked === calls) clearInterval(timer);
  }, TICK_MS);
}

function expiry(token) {
  if (side === 'floor') return Number.POSITIVE_INFINITY;
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp * 1000;
}

process.on('disconnect', () => process.exit());
main();
