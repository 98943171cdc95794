// The benchmark is run manually; its short form shows that it still measures what its tables contain.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, test } from 'vitest'
import { stores } from '../support/databases.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const mariadb = stores.find(({ database }) => database.name === 'mariadb')
const skipped = inject('redis').skipped ?? mariadb?.skipped ?? null

test.skipIf(skipped !== null)(
  'npm run bench -- --short measures sign-ins, workers, servers and the start, and writes nothing',
  { timeout: 180_000 },
  async () => {
    const results = () => readFileSync(`${root}bench/RESULTS.md`, 'utf8')
    const before = results()
    const words = ['bench/bench.ts', '--short', 'sign-in', 'workers', 'servers', 'start']
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root })
    const rows = stdout.split('\n').filter((line) => /^\| [^|]+ \| +[\d.]+ \|/.test(line))
    const names = rows.map((row) => row.split('|')[1]?.trim())
    expect(names).toEqual([
      ...['argon2 alone', 'sign-in'],
      // One, two, four and eight workers, as many as there are cores, and two on a single core.
      ...['1', '2', '4', '8'].filter((workers) => Number(workers) <= Math.max(2, availableParallelism())),
      // Servers.
      ...['1', '2'],
      ...['bare Fastify', 'a new file', 'the file is there'],
    ])
    // Each has figures, and none of them is zero.
    for (const row of rows) {
      const figures = row
        .split('|')
        .slice(2)
        .map((cell) => cell.trim())
        .filter((cell) => /^\d/.test(cell))
      expect(figures.length, row).toBeGreaterThan(0)
      for (const figure of figures) expect(Number.parseFloat(figure), row).toBeGreaterThan(0)
    }
    expect(stdout).not.toMatch(/NaN|undefined|Infinity/)
    expect(results()).toBe(before)
  },
)
