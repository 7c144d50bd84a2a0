'use strict';

// Runs programs for which a file of the test replaces `/etc/hosts`.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');

/** Commands that make a mount namespace, which requires Linux and the right to do so. */
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
  const reason = 'unshare cannot make a namespace here, in which names have other addresses';
  if (process.env.CI && process.platform === 'linux') assert.fail(reason);
  t.skip(reason);
  return undefined;
}

module.exports = { withHosts };
