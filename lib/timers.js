'use strict';

// The timers at the time when the package is loaded. Tests often replace the timers later, and the
// limits of this package must still end.

const { setTimeout, clearTimeout } = require('node:timers');

module.exports = { setTimeout, clearTimeout };
