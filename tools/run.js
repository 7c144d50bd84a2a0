'use strict';

// Runs a command and shows its output. The command leads its own process group, so that a time
// limit or an interrupt ends all processes of the command.

const { spawn } = require('node:child_process');
const path = require('node:path');

const root = path.join(__dirname, '..');
const groups = new Set();

function endGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    for (const pid of groups) endGroup(pid, 'SIGTERM');
    process.exit(status);
  });
}

/**
 * Resolves when the command has succeeded, with its output if `capture` is set. Rejects with a line
 * that describes the failure, followed by the captured output. `forbidden` is a pattern that must
 * not occur in the output: `run` stops a command whose output matches this pattern.
 */
function run(command, args, { limitSeconds = 900, forbidden, capture = false, env } = {}) {
  return new Promise((resolve, reject) => {
    const piped = capture || forbidden !== undefined;
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['ignore', piped ? 'pipe' : 'inherit', piped ? 'pipe' : 'inherit'],
    });
    let output = '';
    let captured = '';
    let fault;
    const stop = (why) => {
      fault ??= why;
      if (child.pid !== undefined) endGroup(child.pid, 'SIGKILL');
    };
    const timer = setTimeout(() => stop(`timeout after ${limitSeconds} s`), limitSeconds * 1000);
    if (child.pid !== undefined) groups.add(child.pid);
    for (const [from, to] of [
      [child.stdout, process.stdout],
      [child.stderr, process.stderr],
    ]) {
      from?.setEncoding('utf8').on('data', (text) => {
        output += text;
        // Only the standard output is the result, because cargo, for example, writes notes to the
        // standard error.
        if (from === child.stdout) captured += text;
        if (!capture) to.write(text);
        const found = forbidden?.exec(output);
        if (found) stop(`the output contains "${found[0]}"`);
      });
    }
    const name = path.basename(command);
    const settle = (why) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      if (why === undefined) resolve(capture ? captured : undefined);
      else reject(new Error(why + (capture && output ? `\n${output.trimEnd()}` : '')));
    };
    child.on('error', (error) => settle(`${name}: ${error.message}`));
    // A child process of the command could keep the pipes open.
    child.on('exit', () => endGroup(child.pid, 'SIGKILL'));
    child.on('close', (code, signal) => {
      if (fault !== undefined) settle(`${name}: ${fault}`);
      else if (code === 0) settle();
      else settle(`${name}: ${signal ? `ended by ${signal}` : `exit code ${code}`}`);
    });
  });
}

/** Runs the main function of a program, unless another module has loaded the program. */
function runMain(program, main) {
  if (require.main !== program) return;
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

module.exports = { root, run, runMain };
