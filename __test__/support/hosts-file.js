'use strict';

// Settings for programs that see a file of the test in place of `/etc/hosts`.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');

/** Commands that make a mount namespace, which needs Linux and the permission to do so. */
const IN_NAMESPACE = [
  ['unshare', '--mount'],
  ['unshare', '--map-root-user', '--mount'],
].map(([binary, ...flags]) => ({
  binary,
  execArgv: [...flags, 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"'],
}));

/** The settings of a program with that hosts file; `undefined` if the function skips the test. */
function withHosts(t, file) {
  const usable = IN_NAMESPACE.find(
    ({ binary, execArgv }) => spawnSync(binary, [...execArgv, file, 'true']).status === 0,
  );
  if (usable !== undefined) {
    return { ...usable, execArgv: [...usable.execArgv, file, process.execPath] };
  }
  const reason = 'unshare cannot make a mount namespace with another /etc/hosts here';
  if (process.env.CI && process.platform === 'linux') assert.fail(reason);
  t.skip(reason);
  return undefined;
}

module.exports = { withHosts };
