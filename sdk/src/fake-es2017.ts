// A JavaScript realm for tests, without anything newer than ES2017, `fetch`, `window` or Node, as in the
// oldest apps.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Context, createContext, Script } from 'node:vm'

/** The members of ECMA-262 of 2017, by object. All others are deleted. */
const es2017: Readonly<Record<string, string>> = {
  Object:
    'assign create defineProperties defineProperty entries freeze getOwnPropertyDescriptor getOwnPropertyDescriptors getOwnPropertyNames getOwnPropertySymbols getPrototypeOf is isExtensible isFrozen isSealed keys preventExtensions seal setPrototypeOf values',
  'Object.prototype':
    'hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf __proto__',
  Function: '',
  'Function.prototype': 'apply arguments bind call caller toString',
  Promise: 'all race reject resolve',
  'Promise.prototype': 'catch then',
  Array: 'from isArray of',
  'Array.prototype':
    'concat copyWithin entries every fill filter find findIndex forEach includes indexOf join keys lastIndexOf map pop push reduce reduceRight reverse shift slice some sort splice toLocaleString toString unshift values',
  'Object.getPrototypeOf(Uint8Array)': 'from of',
  'Object.getPrototypeOf(Uint8Array.prototype)':
    'buffer byteLength byteOffset copyWithin entries every fill filter find findIndex forEach includes indexOf join keys lastIndexOf map reduce reduceRight reverse set slice some sort subarray toLocaleString toString values',
  Uint8Array: 'BYTES_PER_ELEMENT',
  'Uint8Array.prototype': 'BYTES_PER_ELEMENT',
  String: 'fromCharCode fromCodePoint raw',
  'String.prototype':
    'charAt charCodeAt codePointAt concat endsWith includes indexOf lastIndexOf localeCompare match normalize padEnd padStart repeat replace search slice split startsWith substr substring toLocaleLowerCase toLocaleUpperCase toLowerCase toString toUpperCase trim valueOf',
  RegExp: '',
  'RegExp.prototype': 'compile exec flags global ignoreCase multiline source sticky test toString unicode',
  Number:
    'EPSILON MAX_SAFE_INTEGER MAX_VALUE MIN_SAFE_INTEGER MIN_VALUE NEGATIVE_INFINITY NaN POSITIVE_INFINITY isFinite isInteger isNaN isSafeInteger parseFloat parseInt',
  'Number.prototype': 'toExponential toFixed toLocaleString toPrecision toString valueOf',
  Math: 'E LN10 LN2 LOG10E LOG2E PI SQRT1_2 SQRT2 abs acos acosh asin asinh atan atan2 atanh cbrt ceil clz32 cos cosh exp expm1 floor fround hypot imul log log10 log1p log2 max min pow random round sign sin sinh sqrt tan tanh trunc',
  Date: 'UTC now parse',
  JSON: 'parse stringify',
  Reflect:
    'apply construct defineProperty deleteProperty get getOwnPropertyDescriptor getPrototypeOf has isExtensible ownKeys preventExtensions set setPrototypeOf',
  Map: '',
  'Map.prototype': 'clear delete entries forEach get has keys set size values',
  Set: '',
  'Set.prototype': 'add clear delete entries forEach has keys size values',
  WeakMap: '',
  'WeakMap.prototype': 'delete get has set',
  WeakSet: '',
  'WeakSet.prototype': 'add delete has',
  Symbol:
    'for hasInstance isConcatSpreadable iterator keyFor match replace search species split toPrimitive toStringTag unscopables',
  'Symbol.prototype': 'toString valueOf',
  Error: '',
  'Error.prototype': 'message name toString',
  // Iterator.prototype: newer engines add map, filter and others to it.
  'Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))': '',
}

const globals =
  'Infinity NaN undefined eval isFinite isNaN parseFloat parseInt decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape Array ArrayBuffer Boolean DataView Date Error EvalError Float32Array Float64Array Function Int8Array Int16Array Int32Array Map Number Object Promise Proxy RangeError ReferenceError RegExp Set String Symbol SyntaxError TypeError Uint8Array Uint8ClampedArray Uint16Array Uint32Array URIError WeakMap WeakSet JSON Math Reflect'

/** Deletes the rest, inside the realm; a few symbols cannot be deleted. */
const prune = `(table, globals) => {
  const symbols = new Set(table.Symbol.split(' ').map((name) => Symbol[name]))
  const kept = []
  for (const [path, names] of Object.entries(table)) {
    const owner = eval(path)
    const allowed = new Set(['constructor', 'length', 'name', 'prototype', ...names.split(' ')])
    for (const key of Reflect.ownKeys(owner)) {
      if (typeof key === 'symbol' ? symbols.has(key) : allowed.has(key)) continue
      if (!Reflect.deleteProperty(owner, key)) kept.push(path + '.' + String(key))
    }
  }
  const allowed = new Set(globals.split(' '))
  const world = Function('return this')()
  for (const key of Reflect.ownKeys(world)) {
    if (!allowed.has(key) && !Reflect.deleteProperty(world, key)) kept.push(String(key))
  }
  return kept.join(' ')
}`

export interface OldWorld {
  readonly context: Context
  /** The members that could not be deleted. */
  readonly kept: string
  run(code: string): unknown
  /** Loads a CommonJS file and those that it requires, as an old bundler does. */
  require(file: string): unknown
}

export function oldWorld(): OldWorld {
  const context = createContext({})
  const run = (code: string, filename = 'old-world.js') =>
    new Script(code, { filename }).runInContext(context)
  const kept: unknown = run(`(${prune})(${JSON.stringify(es2017)}, ${JSON.stringify(globals)})`)
  const loaded = new Map<string, { exports: unknown }>()
  const load = (file: string): unknown => {
    const known = loaded.get(file)
    if (known) return known.exports
    const module: { exports: unknown } = { exports: run('({})') }
    loaded.set(file, module)
    const code = readFileSync(file, 'utf8')
    const require = (name: string) => load(join(dirname(file), name))
    run(`(function (exports, require, module) {${code}\n})`, file)(module.exports, require, module)
    return module.exports
  }
  return {
    context,
    kept: String(kept),
    run,
    // Resolves the package as Node's `require` does.
    require: (file) => load(createRequire(file).resolve(file)),
  }
}
