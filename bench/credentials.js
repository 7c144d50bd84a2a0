'use strict';

// The credentials have their own file, so that a side whose load time is measured loads no other
// code.

module.exports = { clientId: 'bench', clientSecret: 'bench-secret' };
