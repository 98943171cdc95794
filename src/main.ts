#!/usr/bin/env node
// Entry: argv -> a command of cli/. Looks at Node's version first, because what follows needs a new one.
import { fileURLToPath } from 'node:url'

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(
    `Hufu needs Node.js 24 or newer; this is ${process.versions.node}. In a checkout, "npm start" brings the right one.\n`,
  )
  process.exit(2)
}

// What was compiled once need not be compiled at the next start. In a folder of our own: in the temporary one, anybody could
// have put something there before. Where nothing can be written, everything is compiled each time.
const { enableCompileCache } = await import('node:module')
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/hufu', import.meta.url)))
const { run } = await import('./cli/run.ts')
process.exitCode = await run(process.argv.slice(2))
