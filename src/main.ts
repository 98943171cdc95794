#!/usr/bin/env node
// The entry point: runs the command in argv. It checks Node's version first, because the modules after it
// need a recent one.
import { AsyncLocalStorage } from 'node:async_hooks'
import { fileURLToPath } from 'node:url'

// Node keeps an async context for each callback. If its machinery is initialised before any callback runs, V8
// optimises the check for it away; otherwise the check takes 3 % of each request in most processes
// (bench/PROFILE.md).
new AsyncLocalStorage().run(null, () => {})

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  // The module that reads the environment is not loaded here, so the message is in both languages.
  const is = process.versions.node
  process.stderr.write(
    `Hufu needs Node.js 24 or newer; this is ${is}. Install it from https://nodejs.org.\n` +
      `Hufu 需要 Node.js 24 或更新的版本，现在是 ${is}。请从 https://nodejs.org 安装。\n`,
  )
  process.exit(2)
}

// Compiled code is cached for the next start, in a folder of the program's own: another user could have put
// code into the temporary folder. Without a writable folder, everything is compiled at each start.
const { enableCompileCache } = await import('node:module')
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/hufu', import.meta.url)))
const { run } = await import('./cli/run.ts')
process.exitCode = await run(process.argv.slice(2))
