const { createBackend } = require('@backstage/backend-defaults');

const backend = createBackend();
backend.add(require('./sign-in.js'));
backend.add(require('example-agents-backend'));
backend.start();
