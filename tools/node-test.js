'use strict';

// Runs test files with `node --test`, and summarises the result for the table of stages.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { root, run } = require('./run.js');

const onCi = Boolean(process.env.CI);
/** The time that a run may take besides a file that hangs. */
const OTHER_FILES_SECONDS = 600;

/** The error that a stage throws if it cannot run on this machine. */
class Skipped extends Error {}

/**
 * Returns the files below `folder` whose names end in `end`. Node 20 does not expand patterns
 * itself.
 */
function filesIn(folder, end) {
  const found = fs
    .readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(end))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
  if (found.length === 0) throw new Error(`no ${end} file in ${folder}`);
  return found;
}

/**
 * Resolves with the number of passed tests and the names of skipped tests; rejects if a test failed
 * or no test ran. A file that takes longer than `fileLimitSeconds` fails, and the result names it.
 * With `mayLeaveOut: false`, a skipped test counts as failed on CI. With `isBuffered`, the function
 * prints the output at the end, so that other stages can print their output first.
 */
async function nodeTest(
  files,
  { mayLeaveOut = true, isBuffered, fileLimitSeconds = 600, flags = [], ...options } = {},
) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  const file = path.join(folder, 'report');
  const reporter = pathToFileURL(path.join(__dirname, 'test-reporter.js'));
  const args = ['--expose-gc', '--test', `--test-timeout=${fileLimitSeconds * 1000}`];
  args.push('--test-reporter=spec');
  args.push('--test-reporter-destination=stdout', `--test-reporter=${reporter}`);
  args.push(`--test-reporter-destination=${file}`, ...flags, ...files);
  try {
    const outcome = await run(process.execPath, args, {
      ...options,
      limitSeconds: fileLimitSeconds + OTHER_FILES_SECONDS,
      capture: isBuffered,
    }).catch((error) => error);
    if (isBuffered)
      console.log(`\n── output of ${path.dirname(files[0])}\n${outcome.message ?? outcome}`);
    // A run that exceeded its time limit has no report.
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    const { passed, failed, leftOut } = JSON.parse(text || '{"failed":[],"leftOut":[]}');
    const leftOutNote = leftOut.length > 0 ? `skipped: ${leftOut.join('; ')}` : '';
    if (failed.length > 0) throw new Error(`${failed.length} failed: ${failed.join('; ')}`);
    if (outcome instanceof Error) throw new Error(outcome.message.split('\n')[0]);
    if (!passed) throw leftOutNote ? new Skipped(leftOutNote) : new Error('no test ran');
    if (onCi && !mayLeaveOut && leftOut.length > 0) throw new Error(leftOutNote);
    return [`${passed} tests`, leftOutNote].filter(Boolean).join('; ');
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { Skipped, filesIn, nodeTest, onCi };
