// Every fenced block of every document runs here, or in another test, or has a reason why it does not run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { whyMissing } from '../support/services/binaries.ts'
import {
  asInEnglish,
  type Block,
  blocksOf,
  documents,
  englishOf,
  inOrder,
  type Need,
  read,
  root,
  type Step,
} from './documents/blocks.ts'
import { scripts } from './documents/scripts.ts'
import { Servers } from './documents/servers.ts'
import { Walk } from './documents/walk.ts'

const servers = new Servers()
afterAll(() => servers.close())

const missing: Readonly<Record<Need, string | null>> = {
  mariadb: inject('mariadb').skipped,
  postgres: inject('postgres').skipped,
  redis: inject('redis').skipped,
  sqlite3: whyMissing(['sqlite3'], 'sqlite3'),
  nginx: whyMissing(['nginx'], 'nginx'),
}

const scriptOf = (path: string) => scripts[path] ?? { script: [] }

/** The blocks of a document, each with its steps. */
function blocksWithSteps(path: string): ReturnType<typeof inOrder> {
  const english = englishOf(path)
  if (english !== null && scripts[path] === undefined) return asInEnglish(path, english)
  return inOrder(path, scriptOf(path).script)
}

/** Documents whose blocks run in order; those of a translation without a script run in its English page. */
const withBlocks = documents.filter(
  (path) => blocksOf(path).length > 0 && (englishOf(path) === null || scripts[path] !== undefined),
)

describe.each(documents)('%s', (path) => {
  test('has steps for each of its blocks', () => {
    for (const { block, steps } of blocksWithSteps(path)) for (const step of steps) checkNamed(block, step)
  })
})

/** A named test exists and names the block; a reason is a sentence. */
function checkNamed({ path, line, text }: Block, step: Step): void {
  const where = `${path}:${line}`
  if ('notRun' in step) expect(step.notRun.length, where).toBeGreaterThan(20)
  if (!('by' in step)) return
  expect(existsSync(join(root, step.by)), `${where} is run by ${step.by}`).toBe(true)
  const needle = step.needle ?? text.split('\n')[0] ?? ''
  expect(read(step.by).includes(needle), `${where}: ${step.by} contains "${needle}"`).toBe(true)
}

describe.skipIf(whyMissing(['curl'], 'curl') !== null)('the blocks in order', () => {
  test.each(withBlocks)('of %s do what the document says', { timeout: 240_000 }, async (path) => {
    const { options } = scriptOf(path)
    const walk = await Walk.begin({ servers, ...options })
    try {
      for (const { block, steps } of blocksWithSteps(path))
        for (const step of steps) await take(walk, block, step)
    } finally {
      await walk.close()
      await servers.clear()
    }
  })
})

async function take(walk: Walk, block: Block, step: Step): Promise<void> {
  const where = `${block.path}:${block.line}`
  if ('notRun' in step) console.info(`${where} is not run: ${step.notRun}`)
  if (!('run' in step)) return
  const reason = step.needs.map((need) => missing[need]).find((why) => why !== null)
  if (reason !== undefined) {
    walk.printed = null
    return console.warn(`${where} is not run: ${reason}`)
  }
  try {
    await step.run(walk, block)
  } catch (error) {
    throw new Error(`${where} (${block.heading}) does not do what the document says`, { cause: error })
  }
}
