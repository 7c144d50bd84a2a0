/** The start-up settings that differ between Keycloak releases. */
'use strict';

const OLDEST = 22;

/** Returns the settings for starting a release. Throws if the release is not supported. */
function releaseOf(version) {
  const [major, minor] = version.split('.').map(Number);
  const isVersion = /^\d+\.\d+\.\d+$/.test(version);
  if (!isVersion || major < OLDEST) {
    throw new Error(`Keycloak ${version} is not supported: expected ${OLDEST}.0.0 or newer`);
  }
  const isSince = (since, sinceMinor = 0) =>
    major > since || (major === since && minor >= sinceMinor);
  return {
    /** The scripts of older releases need bash. */
    shell: isSince(24) ? 'sh' : 'bash',
    /** Older releases have the health endpoints on the main port. */
    hasManagementPort: isSince(25),
    /** In production mode, newer releases answer requests with 503 before they are ready. */
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
        // Without this option, older releases would use an https issuer.
        ...(isSince(25) ? [] : ['--hostname-strict-https=false']),
      ],
    },
  };
}

module.exports = { releaseOf };
