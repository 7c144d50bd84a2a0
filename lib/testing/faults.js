'use strict';

// Sends an answer, either complete or with a fault.

const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { setTimeout: delay } = require('node:timers/promises');

const FLOOD_LIMIT_BYTES = 400_000_000;
const FLOOD_CHUNK = Buffer.alloc(65_536, 'x');
const DEFAULT_DRIP_MS = 100;

function* floodedBody() {
  // The body starts like a token response, so that a client cannot refuse it at its first byte.
  yield Buffer.from('{"access_token":"');
  for (let n = 1; n * FLOOD_CHUNK.length < FLOOD_LIMIT_BYTES; n += 1) yield FLOOD_CHUNK;
}

/**
 * The functions that send a response, keyed by fault. The status and headers are already set.
 *
 * @type {Record<string, (response: import('node:http').ServerResponse, rest: {
 *   body: Buffer, dripMs?: number, signal: AbortSignal, reset: () => void }) => unknown>}
 */
const faults = {
  none: (response, { body }) => response.end(body),
  reset: (_response, { reset }) => reset(),
  close: (response) => response.socket?.end(),
  hang: () => {},
  async truncate(response, { body }) {
    response.setHeader('Content-Length', body.length);
    response.flushHeaders();
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.socket?.end());
  },
  async drip(response, { body, dripMs = DEFAULT_DRIP_MS, signal }) {
    response.setHeader('Content-Length', body.length);
    response.flushHeaders();
    for (const byte of body) {
      await delay(dripMs, undefined, { signal });
      if (response.destroyed) return;
      response.write(Buffer.of(byte));
    }
    response.end();
  },
  // The pipeline fails when the client disconnects, which is the expected end.
  flood: (response) => pipeline(Readable.from(floodedBody()), response).catch(() => {}),
  redirect: (response) => response.end(),
};

/** Faults that leave the client without a status. */
const SILENT = new Set(['reset', 'close', 'hang']);

module.exports = { faults, SILENT };
