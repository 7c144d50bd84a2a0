'use strict';

// Arguments: token endpoint, secret files that hang. Prints whether a manager that reads none of
// them gets a token meanwhile, and, when the test signals, how many of the other managers have one.

const { open, tell, told } = require('./program.js');

async function main([, ...files]) {
  let settled = 0;
  const hanging = files.map(async (clientSecretFile) => {
    const token = await open({ clientSecret: undefined, clientSecretFile }).getToken();
    settled += 1;
    return token;
  });
  const token = await open().getToken();
  tell({ token: typeof token, settled });
  await told();
  tell({ tokens: new Set(await Promise.all(hanging)).size });
}

main(process.argv.slice(2));
