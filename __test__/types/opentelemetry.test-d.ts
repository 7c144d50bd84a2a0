// Compiled, never run, like the other type tests: the public members of
// `keycloak-token-manager/opentelemetry`, and the messages of the channels.

import { metrics, trace } from '@opentelemetry/api';
import type {
  KeycloakTokenAcquisitionMessage,
  KeycloakTokenCoolDownMessage,
  KeycloakTokenInvalidationMessage,
  KeycloakTokenManager,
} from 'keycloak-token-manager';
import { type InstrumentOptions, instrument } from 'keycloak-token-manager/opentelemetry';

const options: Required<InstrumentOptions> = {
  meterProvider: metrics.getMeterProvider(),
  tracerProvider: trace.getTracerProvider(),
};
declare const manager: KeycloakTokenManager;
const end: () => void = instrument(manager, options);
instrument(manager);
instrument(manager, { meterProvider: undefined });
end();
// @ts-expect-error A derived manager reports through its parent.
instrument(manager.for({ scope: 'a' }));
// @ts-expect-error
instrument(manager, { meter: 1 });

export function read(
  acquisition: KeycloakTokenAcquisitionMessage,
  invalidation: KeycloakTokenInvalidationMessage,
  coolDown: KeycloakTokenCoolDownMessage,
): string[] {
  const { manager: name, serverAddress, serverPort, cause, outcome, error } = acquisition;
  // @ts-expect-error The start has no outcome yet.
  const length: number = outcome.length;
  return [
    name,
    serverAddress,
    `${serverPort} ${length}`,
    cause,
    error?.code ?? '',
    coolDown.state,
  ].concat(invalidation.outcome);
}
