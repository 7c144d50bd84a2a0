'use strict';

// Asks for a secret on the terminal without echoing the answer.

const readline = require('node:readline');
const { Writable } = require('node:stream');

/** Returns the line that the user types. The question appears on standard error. */
function prompt(question, { stdin, stderr }) {
  stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = readline.createInterface({ input: stdin, output: silent, terminal: true });
  return new Promise((resolve) => {
    // Without an answer, the options lack a credential, and the manager reports this fault.
    terminal.once('close', () => {
      stderr.write('\n');
      resolve(undefined);
    });
    terminal.once('line', (line) => {
      resolve(line);
      terminal.close();
    });
  });
}

module.exports = { prompt };
