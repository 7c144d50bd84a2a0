'use strict';

// In its own file, so that a side whose loading is measured loads nothing else.

module.exports = { clientId: 'bench', clientSecret: 'bench-secret' };
