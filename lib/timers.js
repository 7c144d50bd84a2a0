'use strict';

// The timers as they are when a program loads the package. Tests often replace the timers later,
// but the time limits of this package must still work.

const { setTimeout, clearTimeout } = require('node:timers');

module.exports = { setTimeout, clearTimeout };
