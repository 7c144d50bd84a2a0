'use strict';

// Arguments: token endpoint, number of look-ups, secret file. Looks up so many names that are not
// there; prints how many other managers had a token meanwhile, one of which reads the file, and,
// when the test says so, what became of the look-ups.

const { open, tell, told } = require('./program.js');

async function main([endpoint, count, clientSecretFile]) {
  const codes = [];
  const lookUps = Array.from({ length: Number(count) }, async (_, index) => {
    const tokenEndpoint = endpoint.replace('127.0.0.1', `host-${index}.invalid`);
    const { code } = await open({ tokenEndpoint })
      .getToken()
      .catch((reason) => reason);
    codes.push(code);
  });
  const others = [open(), open({ clientSecret: undefined, clientSecretFile })];
  const tokens = await Promise.all(others.map((manager) => manager.getToken()));
  tell({ tokens: new Set(tokens).size, settled: codes.length });
  await told();
  await Promise.all(lookUps);
  tell({ codes });
}

main(process.argv.slice(2));
