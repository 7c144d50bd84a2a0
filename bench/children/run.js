'use strict';

// Arguments: the name of a program in this folder, and its options as JSON. The last line of the
// output is the result as JSON. This file loads no other module, because some programs measure load
// time.

const [, , name, options] = process.argv;

require(`./${name}.js`)(JSON.parse(options)).then((result) => {
  process.stdout.write(`\n${JSON.stringify(result)}`, () => process.exit());
});
