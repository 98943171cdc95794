// A server that prints its memory after a garbage collection at each SIGUSR2.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { run } from '../../src/cli/run.ts'

setFlagsFromString('--expose_gc')
const collect: () => void = runInNewContext('gc')

process.on('SIGUSR2', () => {
  collect()
  collect()
  const { heapUsed, external, rss } = process.memoryUsage()
  process.stderr.write(`memory ${JSON.stringify({ held: heapUsed + external, rss })}\n`)
})

process.exitCode = await run(['serve'])
