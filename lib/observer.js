'use strict';

// Reports the acquisitions, invalidations, cool-downs and store calls of a manager and of its
// derived managers to the channels of `node:diagnostics_channel` and to the listeners of
// `instrument`. A message contains no secret, no token and no information about a user.

const { channel, tracingChannel } = require('node:diagnostics_channel');
const { KeycloakTokenError } = require('./error.js');

const acquisition = tracingChannel('keycloak-token-manager:acquisition');
const invalidation = channel('keycloak-token-manager:invalidation');
const coolDown = channel('keycloak-token-manager:cooldown');
const store = channel('keycloak-token-manager:store');

const MS_PER_SECOND = 1_000;
const PORTS = { 'http:': 80, 'https:': 443 };

/**
 * Whether a channel for the starts of acquisitions has a subscriber. In Node 20.9, a tracing
 * channel has no `hasSubscribers`.
 */
function observesStarts() {
  return acquisition.start.hasSubscribers || acquisition.end.hasSubscribers;
}

/**
 * Whether a channel needs the details that the native side reports on demand when acquisitions end.
 */
function observesEnds() {
  return (
    acquisition.asyncEnd.hasSubscribers ||
    acquisition.error.hasSubscribers ||
    acquisition.asyncStart.hasSubscribers ||
    coolDown.hasSubscribers ||
    observesStarts()
  );
}

/** Publishes an invalidation's outcome. `origin` returns the members that all messages share. */
function publishInvalidation(origin, reason, outcome) {
  if (invalidation.hasSubscribers) invalidation.publish({ ...origin(), reason, outcome });
}

/** Publishes the outcome of a call to the shared store. */
function publishStoreCall(origin, { operation }, { type, value }, durationSeconds) {
  if (!store.hasSubscribers) return;
  const done = operation === 'get' && value === undefined ? 'miss' : 'done';
  const outcome = type === 'Done' ? done : 'failed';
  store.publish({ ...origin(), operation, outcome, durationSeconds });
}

/** Returns the members that all messages share. `server` is the configured URL. */
function messageOrigin(manager, clientId, server) {
  const { protocol, hostname, port } = new URL(server);
  return {
    manager,
    clientId,
    // In a URL, brackets surround an IPv6 address.
    serverAddress: hostname.replace(/^\[(.*)\]$/, '$1'),
    serverPort: port === '' ? PORTS[protocol] : Number(port),
  };
}

const runAtOnce = (step) => step();

class Observer {
  #origin;
  #listeners = new Set();
  /** The messages of the acquisitions in progress, keyed by the ids of manager and flight. */
  #inProgress = new Map();

  /** @param {() => object} origin returns the members that all messages share */
  constructor(origin) {
    this.#origin = origin;
  }

  get observesEnds() {
    return this.#listeners.size > 0 || observesEnds();
  }

  /** Whether a listener needs the context of the current call if the call starts a flight. */
  get wantsContext() {
    try {
      for (const listener of this.#listeners) if (listener.wantsContext()) return true;
    } catch {
      // A context manager that throws must not prevent a caller from getting a token.
    }
    return false;
  }

  add(listener) {
    this.#listeners.add(listener);
  }

  remove(listener) {
    this.#listeners.delete(listener);
  }

  /**
   * `inContext` runs a function in the context of the call that started the flight, if a call
   * started it.
   */
  started(event, inContext = runAtOnce) {
    const message = startOf(this.#origin(), event, event.at);
    this.#inProgress.set(keyOf(event), message);
    inContext(() => publishStart(message));
  }

  ended(event, inContext) {
    if (inContext === undefined) this.#end(event);
    else inContext(() => this.#end(event));
    this.#publishCoolDown(event.acquisition);
  }

  #end(event) {
    const { attempts, seconds, failure } = event.acquisition;
    const key = this.#inProgress.size === 0 ? undefined : keyOf(event);
    let message = this.#inProgress.get(key);
    if (message === undefined) {
      message = startOf(this.#origin(), event.acquisition, Date.now() - seconds * MS_PER_SECOND);
      // The flight may have started before the first subscriber subscribed.
      if (observesStarts()) publishStart(message);
    }
    message.attempts = attempts;
    this.#close(key, message, seconds, failure);
  }

  /**
   * Ends the acquisitions of a manager that no longer exists. Without `manager`, ends all
   * acquisitions.
   */
  abandon(failure, manager) {
    for (const [key, message] of this.#inProgress) {
      if (manager !== undefined && !key.startsWith(keyOf({ manager, flight: '' }))) continue;
      const durationSeconds = Math.max(0, Date.now() - message.startedAt) / MS_PER_SECOND;
      this.#close(key, message, durationSeconds, failure);
    }
  }

  /** Tells the listeners that the manager is closed. */
  end() {
    this.#tell('closed');
    this.#listeners.clear();
  }

  #close(key, message, durationSeconds, failure) {
    this.#inProgress.delete(key);
    message.durationSeconds = durationSeconds;
    message.outcome = failure === undefined ? 'acquired' : failure.code;
    // Omits the `cause` that callers receive: a secret function's error may contain a secret.
    if (failure !== undefined) message.error = new KeycloakTokenError(failure);
    this.#tell('ended', message);
    if (failure !== undefined) acquisition.error.publish(message);
    acquisition.asyncStart.publish(message);
    acquisition.asyncEnd.publish(message);
  }

  #publishCoolDown({ failure, coolDown: started, hasRecovered }) {
    if (!coolDown.hasSubscribers || (started === undefined && !hasRecovered)) return;
    const facts =
      started === undefined
        ? { state: 'ended' }
        : { state: 'started', code: failure.code, ...started };
    coolDown.publish({ ...this.#origin(), ...facts });
  }

  #tell(method, message) {
    for (const listener of this.#listeners) {
      try {
        listener[method](message);
      } catch {
        // A provider or exporter that throws must not prevent a caller from getting a token.
      }
    }
  }
}

/**
 * Returns the message for the start of an acquisition. It is a literal, because spreading would
 * slow every flight down.
 */
function startOf(
  { manager, clientId, serverAddress, serverPort },
  { cause, grantType },
  startedAt,
) {
  return { manager, clientId, serverAddress, serverPort, cause, grantType, startedAt };
}

function publishStart(message) {
  acquisition.start.publish(message);
  acquisition.end.publish(message);
}

const keyOf = ({ manager, flight }) => `${manager} ${flight}`;

module.exports = {
  Observer,
  messageOrigin,
  observesEnds,
  observesStarts,
  publishInvalidation,
  publishStoreCall,
};
