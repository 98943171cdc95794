#!/usr/bin/env node
// Entry: argv -> a command of cli/. Looks at Node's version first, because what follows needs a new one.
const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(
    `Hufu needs Node.js 24 or newer; this is ${process.versions.node}. In a checkout, "npm start" brings the right one.\n`,
  )
  process.exit(2)
}

const { run } = await import('./cli/run.ts')
process.exitCode = await run(process.argv.slice(2))
