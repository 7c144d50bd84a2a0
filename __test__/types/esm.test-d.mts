// The same package as an ECMAScript module.

import type { KeycloakTokenErrorCode } from 'keycloak-token-manager';
import { KeycloakTokenError, KeycloakTokenManager } from 'keycloak-token-manager';

const code: KeycloakTokenErrorCode = 'ERR_KEYCLOAK_CLOSED';
await new KeycloakTokenManager({
  tokenEndpoint: 'https://keycloak.example/realms/a/protocol/openid-connect/token',
  clientId: 'client',
  clientSecretFile: '/run/secrets/client',
})
  .getToken()
  .catch((error: unknown) => error instanceof KeycloakTokenError && error.code === code);
