import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const lines = 3_000

/** Two processes write into one pipe with a slow reader, so that it is full most of the time. */
async function writeTogether(): Promise<string[]> {
  const writer = new URL('./line-writer.ts', import.meta.url).href
  const script = `import { LineWriter } from '${writer}'
    const writer = new LineWriter(1, true)
    for (let i = 0; i < ${lines}; i++) {
      writer.write(JSON.stringify({ pid: process.pid, i, pad: 'x'.repeat(i % 300) }) + '\\n')
      if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }`
  // Small reads, so that a writer gets room for a part of its lines.
  const reader = `const { readSync, writeSync } = require('node:fs')
    const bite = Buffer.alloc(1000)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    for (let n; (n = readSync(0, bite)) > 0; ) writeSync(1, bite.subarray(0, n))`
  const pipeline = `("$0" --input-type=module -e "$1" & "$0" --input-type=module -e "$1" & wait) | "$0" -e "$2"`
  const { stdout } = await promisify(execFile)('sh', ['-c', pipeline, process.execPath, script, reader], {
    maxBuffer: 2 ** 26,
  })
  return stdout.trimEnd().split('\n')
}

test('lines of several processes stay whole in one pipe', async () => {
  const found = await writeTogether()
  expect(found).toHaveLength(2 * lines)
  for (const line of found) expect(() => JSON.parse(line), line.slice(0, 80)).not.toThrow()
})
