'use strict';

// The credentials have their own file, so that the measured load time of a side includes no other
// code.

module.exports = { clientId: 'bench', clientSecret: 'bench-secret' };
