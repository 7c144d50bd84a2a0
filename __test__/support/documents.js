'use strict';

/** The code of a document, as modules that a test can run. */

const ts = require('typescript');
const { blocksOf } = require('../../tools/examples.js');

/** Returns the blocks of a document in one language whose code contains `text`. */
function findBlocks(file, language, text = '') {
  return blocksOf(file).filter((block) => block.language === language && block.code.includes(text));
}

/** Translates a TypeScript module to CommonJS. */
function toCommonJs(code) {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.CommonJS,
    esModuleInterop: true,
  };
  return ts.transpileModule(code, { compilerOptions }).outputText;
}

/** Runs a TypeScript module, which imports with `load`; returns its exports. */
function runModule(code, load) {
  const module = { exports: {} };
  new Function('module', 'exports', 'require', toCommonJs(code))(module, module.exports, load);
  return module.exports;
}

module.exports = { findBlocks, runModule, toCommonJs };
