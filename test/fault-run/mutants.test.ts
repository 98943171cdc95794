// A change of the source that a mutant needs would otherwise be noticed only when the fault run begins.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mutants } from './mutants.ts'

test.each(mutants)('each line that the mutant changes is in the source: $name', ({ changes }) => {
  for (const [file, from, to] of changes) {
    expect(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')).toContain(from)
    expect(to).not.toBe(from)
  }
})
