'use strict';

// Arguments: token endpoint, task, and the task's arguments. Prints the results of some managers
// while files or look-ups hang for others. When the test has called `goOn()`, prints the results of
// those others.

const { open, tell, told } = require('./program.js');

const [, , endpoint, task, ...args] = process.argv;
const withFile = (clientSecretFile) =>
  open({ clientSecret: undefined, clientSecretFile }).getToken();

const tasks = {
  /** Secret files that hang, beside a manager that reads none of them. */
  async files(...files) {
    let settled = 0;
    const hanging = files.map(async (file) => {
      const token = await withFile(file);
      settled += 1;
      return token;
    });
    const token = await open().getToken();
    tell({ token: typeof token, settled });
    await told();
    tell({ tokens: new Set(await Promise.all(hanging)).size });
  },

  /**
   * Unknown names and a file that hang, beside a manager without a file and one with another file.
   */
  async 'look-ups'(count, file, hungFile) {
    const codes = [];
    const lookUps = Array.from({ length: Number(count) }, async (_, index) => {
      const tokenEndpoint = endpoint.replace('127.0.0.1', `host-${index}.invalid`);
      const { code } = await open({ tokenEndpoint })
        .getToken()
        .catch((reason) => reason);
      codes.push(code);
    });
    const reading = withFile(hungFile);
    const tokens = await Promise.all([open().getToken(), withFile(file)]);
    tell({ tokens: new Set(tokens).size, settled: codes.length });
    await told();
    await Promise.all(lookUps);
    tell({ codes, hung: typeof (await reading) });
  },
};

tasks[task](...args);
