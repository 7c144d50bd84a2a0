'use strict';

const { openTelemetryApi } = require('./opentelemetry-api.js');

/**
 * Returns a function that returns the `traceparent` of the active span, as the global propagator
 * writes it, or `undefined` without an active span.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if `@opentelemetry/api` is not installed
 */
function traceParents() {
  const { context, propagation } = openTelemetryApi('propagateTraceContext');
  return () => {
    const carrier = {};
    try {
      propagation.inject(context.active(), carrier);
    } catch {
      // A propagator that throws must not prevent a caller from getting a token.
    }
    const { traceparent } = carrier;
    return typeof traceparent === 'string' ? traceparent : undefined;
  };
}

module.exports = { traceParents };
