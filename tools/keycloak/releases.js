/** The differences between the releases of Keycloak in how they are started. */
'use strict';

const OLDEST = 22;

/** Describes how a release is started; throws if it is not supported. */
function releaseOf(version) {
  const [major, minor] = version.split('.').map(Number);
  const isVersion = /^\d+\.\d+\.\d+$/.test(version);
  if (!isVersion || major < OLDEST) {
    throw new Error(`Keycloak ${version} cannot be started here: ${OLDEST}.0.0 or newer only`);
  }
  const isSince = (since, sinceMinor = 0) =>
    major > since || (major === since && minor >= sinceMinor);
  return {
    /** The scripts of older releases need bash. */
    shell: isSince(24) ? 'sh' : 'bash',
    /** Older releases have the health endpoints on the main port. */
    hasManagementPort: isSince(25),
    /** In production mode it answers requests with 503 before it is ready. */
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
        // By default the issuer would be an https URL.
        ...(isSince(25) ? [] : ['--hostname-strict-https=false']),
      ],
    },
  };
}

module.exports = { releaseOf };
