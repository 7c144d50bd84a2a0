'use strict';

// Arguments: the name of a program of this folder, and its options as JSON. Prints its result as
// JSON. Loads nothing else, because some programs measure load time.

const [, , name, options] = process.argv;

require(`./${name}.js`)(JSON.parse(options)).then((result) => {
  process.stdout.write(JSON.stringify(result), () => process.exit());
});
