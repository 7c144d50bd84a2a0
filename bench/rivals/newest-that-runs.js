'use strict';

/** The package itself, or its older version where Node is older than the newest one asks for. */
function newestThatRuns(packageName, older, wantsNode) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantsMajor, wantsMinor] = wantsNode;
  const runs = major > wantsMajor || (major === wantsMajor && minor >= wantsMinor);
  return runs ? packageName : older;
}

module.exports = { newestThatRuns };
