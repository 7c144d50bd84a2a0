'use strict';

// Arguments: token endpoint, number of look-ups, secret file, secret file that hangs. Looks up the
// given number of unknown names and reads the hanging file. Meanwhile, other managers request
// tokens; one of them reads the other file. Prints how many got a token and, when the test signals,
// the results of the look-ups and of the read.

const { open, tell, told } = require('./program.js');

async function main([endpoint, count, clientSecretFile, hungFile]) {
  const codes = [];
  const lookUps = Array.from({ length: Number(count) }, async (_, index) => {
    const tokenEndpoint = endpoint.replace('127.0.0.1', `host-${index}.invalid`);
    const { code } = await open({ tokenEndpoint })
      .getToken()
      .catch((reason) => reason);
    codes.push(code);
  });
  const reading = open({ clientSecret: undefined, clientSecretFile: hungFile }).getToken();
  const others = [open(), open({ clientSecret: undefined, clientSecretFile })];
  const tokens = await Promise.all(others.map((manager) => manager.getToken()));
  tell({ tokens: new Set(tokens).size, settled: codes.length });
  await told();
  await Promise.all(lookUps);
  tell({ codes, hung: typeof (await reading) });
}

main(process.argv.slice(2));
