'use strict';

// Reads and cancels the bodies of responses from `fetch` and from test doubles, which use Node
// streams.

const { isDisturbed } = require('node:stream');

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
    // Errors of a body without a reader do not matter.
  }
}

module.exports = { cancel, readerOf, unreadBody };
