'use strict';

module.exports = require('../../tools/backstage-workspace.js');
