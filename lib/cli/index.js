#!/usr/bin/env node
'use strict';

// The program `keycloak-token-manager`.

const { main } = require('./main.js');

const { env, stdin, stdout, stderr } = process;

// A reader such as `head` may close the pipe early.
stdout.on('error', () => process.exit());

/** Waits until the stream has written all its data. */
const flushed = (stream) => new Promise((resolve) => stream.write('', resolve));

main(process.argv.slice(2), { env, stdin, stdout, stderr, cwd: process.cwd() }).then(
  async (status) => {
    await Promise.all([flushed(stdout), flushed(stderr)]);
    // A name look-up that hangs would keep the process alive.
    process.exit(status);
  },
);
