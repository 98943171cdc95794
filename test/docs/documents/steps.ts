// Steps for a block of any document.
import { expect } from 'vitest'
import { runs, type Step } from './blocks.ts'
import { differenceFrom } from './shown.ts'

/** Runs the block, whose output the next block may show. */
export const command = runs(async (walk, { text }) => void (await walk.run(text)))

/**
 * Runs the block with the code that the server printed for the last request, of a number with these last
 * digits.
 */
export const withCodeTo = (lastDigits: string): Step =>
  runs(async (walk, { text }) => {
    expect(text).toContain('CODE=123456')
    await walk.run(text.replace('123456', await walk.lastCodeTo(lastDigits)))
  })

/** The last command printed this. */
export const shown = runs((walk, { text, path, line }) => {
  if (walk.printed !== null)
    expect(differenceFrom(walk.here(text), walk.printed), `${path}:${line}`).toBe(null)
})

/** A started server has printed this. */
export const shownByServer = runs((walk, { text, path, line }) => {
  expect(differenceFrom(walk.here(text), walk.terminal()), `${path}:${line}`).toBe(null)
})

/** The same, in any order. */
export const shownUnsorted = runs((walk, { text, path, line }) => {
  if (walk.printed === null) return
  const sorted = (lines: string) => lines.split('\n').toSorted().join('\n')
  expect(differenceFrom(sorted(walk.here(text)), sorted(walk.printed)), `${path}:${line}`).toBe(null)
})
