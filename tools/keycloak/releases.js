/**
 * What differs between the releases of Keycloak in how they are started. What their endpoints
 * answer is for those who ask them.
 */
'use strict';

const OLDEST = 22;

/** How this release is started; throws for one that is not. */
function releaseOf(version) {
  const [major, minor] = version.split('.').map(Number);
  const isVersion = /^\d+\.\d+\.\d+$/.test(version);
  if (!isVersion || major < OLDEST) {
    throw new Error(`Keycloak ${version} cannot be started here: ${OLDEST}.0.0 or newer only`);
  }
  const isSince = (since, sinceMinor = 0) =>
    major > since || (major === since && minor >= sinceMinor);
  return {
    /** The older scripts are written for it. */
    shell: isSince(24) ? 'sh' : 'bash',
    /** Before, health was a path of the main port. */
    hasManagementPort: isSince(25),
    /** Accepts requests before it is ready, in production mode, and answers them with 503. */
    hasAsyncBootstrap: isSince(26, 6),
    adminVariables: isSince(26)
      ? ['KC_BOOTSTRAP_ADMIN_USERNAME', 'KC_BOOTSTRAP_ADMIN_PASSWORD']
      : ['KEYCLOAK_ADMIN', 'KEYCLOAK_ADMIN_PASSWORD'],
    modes: {
      'start-dev': [],
      start: [
        '--db=dev-file',
        '--cache=local',
        '--http-enabled=true',
        '--hostname-strict=false',
        // Would make the issuer an https URL.
        ...(isSince(25) ? [] : ['--hostname-strict-https=false']),
      ],
    },
  };
}

module.exports = { releaseOf };
