'use strict';

// The callers of one side and their results. The true time, which is the server's, decides whether
// a token is valid, because some faults change this process's clocks.

const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');

/** A caller counts as hung if it waits longer than its limit plus this time. */
const SLACK_MS = 1_000;
/** The time limit for a manager to notice a jump of the clocks, and slack for a busy machine. */
const CORRECTION_MS = 1_000;
const CORRECTION_SLACK_MS = 250;

class Callers {
  #manager;
  #clock;
  #limits;
  #canary;
  /** The expiry of each token, in true time. */
  #ends = new Map();
  #held;
  #pending = new Set();
  isRenewed = false;
  #figures = {
    calls: 0,
    waited: 0,
    lost: 0,
    hung: 0,
    expired: 0,
    late: 0,
    failures: {},
    shown: [],
  };

  /**
   * @param {(logger: object) => { getToken(options?: object): Promise<string>,
   *   clearCache(): void }} make makes the manager
   * @param {object} clock the clock of `child.js`
   * @param {{ requestTimeoutMs: number, abortAfterMs?: number }} limits
   * @param {string} canary the beginning of every secret
   */
  constructor(make, clock, limits, canary) {
    this.#clock = clock;
    this.#limits = limits;
    this.#canary = canary;
    const write = (line) => this.#look('log', [line]);
    this.#manager = make({ error: write, warn: write, info: write, debug: write });
  }

  /** Gets a token before the fault begins. */
  async prepare() {
    this.#learn(await this.#manager.getToken());
  }

  forget() {
    this.#manager.clearCache();
    this.#held = undefined;
  }

  /** Starts counting calls. */
  begin() {
    this.isRenewed = false;
  }

  /** Makes one call. With `abortAfterMs`, every second caller aborts its call. */
  call() {
    const { abortAfterMs } = this.#limits;
    const gives = abortAfterMs !== undefined && this.#figures.calls % 2 === 1;
    const call = {
      start: this.#clock.real(),
      limitMs: gives ? abortAfterMs : this.#limits.requestTimeoutMs,
      hadToken: this.#ends.get(this.#held) > this.#clock.now(),
      isOver: false,
      hasWaited: false,
    };
    this.#figures.calls += 1;
    this.#pending.add(call);
    const leaving = new AbortController();
    if (gives) setTimeout(() => leaving.abort(), abortAfterMs);
    this.#manager.getToken(gives ? { signal: leaving.signal } : undefined).then(
      (token) => this.#serve(call, token),
      (error) => this.#fail(call, error),
    );
    // Node handles pending events before this callback.
    setImmediate(() => {
      if (!call.isOver) call.hasWaited = true;
    });
  }

  /** Resolves when every call has settled or hung. */
  async settled() {
    while ([...this.#pending].some((call) => !this.#isHung(call))) await delay(10);
  }

  /** Returns the current figures. */
  figures() {
    for (const call of [...this.#pending].filter((one) => this.#isHung(one))) {
      this.#end(call);
      this.#figures.lost += call.hadToken ? 1 : 0;
    }
    return { ...this.#figures, pending: this.#pending.size, isRenewed: this.isRenewed };
  }

  #serve(call, token) {
    if (!this.#end(call)) return;
    if (call.hasWaited && call.hadToken) this.#figures.lost += 1;
    this.#learn(token);
    if (this.#clock.now() < this.#ends.get(token)) return;
    const sinceJump = this.#clock.real() - this.#clock.jumpedAt;
    const mayBeLate = CORRECTION_MS + CORRECTION_SLACK_MS + this.#clock.longestLag;
    this.#figures[sinceJump < mayBeLate ? 'late' : 'expired'] += 1;
  }

  #fail(call, error) {
    if (!this.#end(call)) return;
    if (call.hadToken) this.#figures.lost += 1;
    const name = typeof error.code === 'string' ? error.code : error.name;
    this.#figures.failures[name] = (this.#figures.failures[name] ?? 0) + 1;
    const inspected = inspect(error, { depth: 9, showHidden: true });
    this.#look('error', [String(error), error.stack, JSON.stringify(error), inspected]);
  }

  /** Counts a settled or hung call. Returns false if the function has already counted the call. */
  #end(call) {
    if (!this.#pending.delete(call)) return false;
    this.#figures.hung += this.#isHung(call) ? 1 : 0;
    call.isOver = true;
    this.#figures.waited += call.hasWaited ? 1 : 0;
    return true;
  }

  #isHung({ start, limitMs }) {
    return this.#clock.real() - start > limitMs + SLACK_MS + this.#clock.longestLag;
  }

  #learn(token) {
    this.#held = token;
    if (this.#ends.has(token)) return;
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    // The endpoint issued the token after the last jump, so the token's times do not include
    // earlier jumps.
    this.#ends.set(token, exp * 1000 + this.#clock.passedMs);
    this.isRenewed = true;
  }

  #look(place, texts) {
    const secrets = [this.#canary, ...this.#ends.keys()];
    const isShown = texts.some((text) => secrets.some((secret) => text?.includes(secret)));
    if (isShown && !this.#figures.shown.includes(place)) this.#figures.shown.push(place);
  }
}

module.exports = { Callers };
