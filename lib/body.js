'use strict';

// Reads and cancels response bodies: the web streams of `fetch`, and the Node streams of test
// doubles. Also copies and keeps the body of a request that `fetch` may have to send again.

const { isDisturbed } = require('node:stream');
const { isArrayBuffer } = require('node:util/types');

/** The maximum number of bytes that `KeptBody` keeps of a request's body. */
const KEPT_BYTES = 1024 * 1024;

/** Returns the body, unless other code has read, locked or hidden it. */
function unreadBody(response) {
  try {
    const { body, bodyUsed } = response;
    // A Node stream is flowing or paused once a consumer is attached.
    const isTaken =
      bodyUsed || body?.locked || typeof body?.readableFlowing === 'boolean' || isDisturbed(body);
    return isTaken ? undefined : body;
  } catch {
    return undefined;
  }
}

/** Returns a reader with `read` and `cancel`; `undefined` if the body is not a stream. */
function readerOf(body) {
  if (typeof body?.getReader === 'function') return body.getReader();
  // The body is the Node stream of a test double. `Readable.toWeb` is not an option: after a
  // cancellation, it would throw an exception that no code can catch.
  const chunks = body?.[Symbol.asyncIterator]?.();
  return chunks && { read: () => chunks.next(), cancel: () => body.destroy?.() };
}

/** Cancels a body or its reader. Never throws. */
function cancel(body) {
  try {
    // A test double's `cancel` may return no promise, and a Node stream's method has another name.
    Promise.resolve(body?.cancel?.() ?? body?.destroy?.()).catch(() => {});
  } catch {
    // Errors do not matter, because nothing reads this body.
  }
}

/**
 * Returns a copy of a request's body if the program could change the body while the call waits.
 * The platform's `fetch` copies such bodies, too.
 */
function copyOfBody(body) {
  if (body === null || typeof body !== 'object') return body;
  if (isArrayBuffer(body)) return body.slice(0);
  if (ArrayBuffer.isView(body) && isArrayBuffer(body.buffer)) {
    const bytes = body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength);
    return Buffer.isBuffer(body) ? Buffer.from(bytes) : new Uint8Array(bytes);
  }
  // A subclass may have its own text form, so this function copies no subclass.
  const prototype = Object.getPrototypeOf(body);
  if (prototype === URLSearchParams.prototype) return new URLSearchParams(body);
  if (prototype !== FormData.prototype) return body;
  const form = new FormData();
  for (const [name, value] of body) form.append(name, value);
  return form;
}

/** A copy of the body of a `Request` in progress, up to a limit. */
class KeptBody {
  isComplete = false;
  #chunks = [];
  #reader;

  /** Reads a clone, so that `fetch` can still send the original. */
  constructor(request) {
    try {
      this.#reader = readerOf(request.clone().body);
      this.#read();
    } catch {
      // The body was already used. `fetch` reports the fault.
    }
  }

  get bytes() {
    return Buffer.concat(this.#chunks);
  }

  /** Stops reading and drops the copy. */
  release() {
    if (!this.isComplete) cancel(this.#reader);
    this.isComplete = false;
    this.#chunks = [];
    this.#reader = undefined;
  }

  async #read() {
    const reader = this.#reader;
    let length = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#reader === undefined) return;
        if (done) {
          this.isComplete = true;
          return;
        }
        length += value.byteLength;
        // Chunks of another type have no length. `fetch` refuses them.
        if (!(length <= KEPT_BYTES)) break;
        this.#chunks.push(value);
      }
    } catch {
      // The request fails for the same reason.
    }
    this.release();
  }
}

module.exports = { KeptBody, cancel, copyOfBody, readerOf, unreadBody };
