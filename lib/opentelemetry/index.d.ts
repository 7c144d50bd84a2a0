import type { MeterProvider, TracerProvider } from '@opentelemetry/api';
import type { KeycloakTokenManager } from 'keycloak-token-manager';

/**
 * Options of {@link instrument}.
 *
 * @example
 * ```ts
 * import { metrics } from '@opentelemetry/api';
 * import type { InstrumentOptions } from 'keycloak-token-manager/opentelemetry';
 *
 * export const options: InstrumentOptions = { meterProvider: metrics.getMeterProvider() };
 * ```
 */
export interface InstrumentOptions {
  /** The provider of the meter. Default: the global meter provider at the time of the call. */
  meterProvider?: MeterProvider | undefined;
  /** The provider of the tracer. Default: the global tracer provider. */
  tracerProvider?: TracerProvider | undefined;
}

/**
 * Makes a manager and its derived managers report the metrics and spans that
 * `docs/observability.md` lists. Call this function after your OpenTelemetry SDK has started: a
 * meter that exists before the SDK starts never records a value. The telemetry also ends when you
 * close the manager.
 *
 * @returns A function that ends the telemetry of the manager.
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the package `@opentelemetry/api` is not
 *   installed; `ERR_KEYCLOAK_REQUEST` if an argument is invalid.
 * @example
 * ```ts
 * import { KeycloakTokenManager } from 'keycloak-token-manager';
 * import { instrument } from 'keycloak-token-manager/opentelemetry';
 *
 * const manager = new KeycloakTokenManager({
 *   issuer: 'https://keycloak.example/realms/my-realm',
 *   clientId: 'my-client',
 *   clientSecretFile: '/run/secrets/my-client',
 * });
 * const endTelemetry = instrument(manager);
 * await manager.getToken();
 * endTelemetry();
 * ```
 */
export function instrument(manager: KeycloakTokenManager, options?: InstrumentOptions): () => void;
