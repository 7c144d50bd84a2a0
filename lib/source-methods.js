'use strict';

/**
 * The methods that the manager calls on its token sources, and that users do not see.
 */
module.exports = Object.freeze({
  /** Sets the manager's side of the source. */
  attach: Symbol('attach'),
  /** The manager's side of the source. */
  family: Symbol('family'),
  /** Connects the source to the shared memory of its native side. */
  connect: Symbol('connect'),
  /** Disconnects the source, whose native side no longer exists. */
  disconnect: Symbol('disconnect'),
  /** Handles an event from the native side. */
  handle: Symbol('handle'),
  /**
   * Returns a function that runs another function in the context of the call that started a flight.
   */
  contextOf: Symbol('contextOf'),
  /** Forgets the token if the native side has dropped it. */
  compare: Symbol('compare'),
  /** Forgets the token and the flight that callers may join. */
  forget: Symbol('forget'),
  /** Makes new callers ask the native side, because the configuration has changed. */
  detach: Symbol('detach'),
  /** Rejects the waiting callers and forgets the token. */
  end: Symbol('end'),
  /** Whether callers are waiting. */
  isAwaited: Symbol('isAwaited'),
  /** The number of calls that the source answered without the native side. */
  hits: Symbol('hits'),
});
