#!/usr/bin/env node
// Entry: argv -> a command of cli/. Looks at Node's version first, because what follows needs a new one.
import { AsyncLocalStorage } from 'node:async_hooks'
import { fileURLToPath } from 'node:url'

// Node keeps a context for each callback. Where what it has for that is in place before anything has run, V8 compiles the look at
// it away; otherwise, in most processes, it takes 3 % of each request (bench/PROFILE.md).
new AsyncLocalStorage().run(null, () => {})

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  // The environment is read by what is not loaded here, so both languages are given.
  const is = process.versions.node
  process.stderr.write(
    `Hufu needs Node.js 24 or newer; this is ${is}. Install it from https://nodejs.org.\n` +
      `Hufu 需要 Node.js 24 或更新的版本，现在是 ${is}。请从 https://nodejs.org 安装。\n`,
  )
  process.exit(2)
}

// What was compiled once need not be compiled at the next start. In a folder of our own: in the temporary one, anybody could
// have put something there before. Where nothing can be written, everything is compiled each time.
const { enableCompileCache } = await import('node:module')
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/hufu', import.meta.url)))
const { run } = await import('./cli/run.ts')
process.exitCode = await run(process.argv.slice(2))
