'use strict';

const { openTelemetryApi } = require('./opentelemetry-api.js');

/**
 * Returns a function. For the active span, this function returns the `traceparent` that the global
 * propagator writes; without an active span, it returns `undefined`.
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
