'use strict';

/**
 * Requires the package of a platform. Every call of `require` contains the full name, so that
 * bundlers and file tracers find it. Every call is inside `try`, so that bundlers accept that the
 * other packages are not installed.
 */

const platforms = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc',
];

/** Returns `{ native }`, or `{ cause }` if the package is missing or does not load. */
function requirePackage(platform) {
  try {
    switch (platform) {
      case 'darwin-arm64':
        return { native: require('keycloak-token-manager-darwin-arm64') };
      case 'darwin-x64':
        return { native: require('keycloak-token-manager-darwin-x64') };
      case 'linux-arm64-gnu':
        return { native: require('keycloak-token-manager-linux-arm64-gnu') };
      case 'linux-arm64-musl':
        return { native: require('keycloak-token-manager-linux-arm64-musl') };
      case 'linux-x64-gnu':
        return { native: require('keycloak-token-manager-linux-x64-gnu') };
      case 'linux-x64-musl':
        return { native: require('keycloak-token-manager-linux-x64-musl') };
      case 'win32-arm64-msvc':
        return { native: require('keycloak-token-manager-win32-arm64-msvc') };
      case 'win32-x64-msvc':
        return { native: require('keycloak-token-manager-win32-x64-msvc') };
    }
  } catch (cause) {
    return { cause };
  }
}

module.exports = { platforms, requirePackage };
