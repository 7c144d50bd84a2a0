'use strict';

// `npm run example`: a Backstage backend with a plugin that calls a Kagenti-shaped API with tokens
// from a real Keycloak, or with `-- --embedded` from the embedded endpoint. It prints a curl that
// works and goes on until Ctrl-C; `--once` makes that call itself and ends.

const { parseArgs } = require('node:util');
const { setStage } = require('./stage.js');

async function main() {
  const { values } = parseArgs({
    options: { embedded: { type: 'boolean' }, once: { type: 'boolean' } },
  });
  let stage;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => (stage ? stage.end() : process.exit(1)));
  }
  stage = await setStage({ embedded: values.embedded, log: (line) => console.error(line) });
  const { url, user, userToken, api } = stage;
  console.log(`
As ${user}:
  curl -s ${url} -H 'authorization: Bearer ${userToken}'
As a guest:
  curl -s ${url}
`);
  if (values.once) {
    try {
      const response = await fetch(url, { headers: { authorization: `Bearer ${userToken}` } });
      console.log(`${response.status} ${await response.text()}`);
      console.log(`the API saw ${JSON.stringify(api.requests)}`);
      if (!response.ok) process.exitCode = 1;
    } finally {
      await stage.end();
    }
    return;
  }
  console.log('Ctrl-C stops it.');
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
