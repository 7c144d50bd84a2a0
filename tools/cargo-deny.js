'use strict';

const { pinnedProgram } = require('./pinned-program.js');

module.exports = { cargoDeny: () => pinnedProgram('cargo-deny') };
