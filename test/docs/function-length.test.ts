// No function has more lines than the limit, from its first line to its last, with blank lines, comments and
// nested functions: a list of handlers that closes over a parameter counts as a whole. (Biome's rule counts
// neither blank lines nor comments.)
import { globSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'

const linesMax = 70
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The first line and the number of lines of each function of a source. */
function functionsIn(source: string): { line: number; lines: number }[] {
  // Types become white space, so each line keeps its number.
  const text = stripTypeScriptTypes(source)
  const lineAt = (offset: number) => text.slice(0, offset).split('\n').length
  const found: { line: number; lines: number }[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    // Nodes of ESTree, with the offsets that the parser adds.
    const { type, start = 0, end = 0 } = node as { type?: string; start?: number; end?: number }
    if (type !== undefined && /Function/.test(type)) {
      const line = lineAt(start)
      found.push({ line, lines: lineAt(end) - line + 1 })
    }
    for (const inner of Object.values(node)) visit(inner)
  }
  visit(parseAst(text).body)
  return found
}

test('the count includes nested functions, blank lines and comments', () => {
  const nested = ['function a(): void {', '  // why', '', '  const b = (x: number) => {', '    x', '  }', '}']
  expect(functionsIn(nested.join('\n'))).toEqual([
    { line: 1, lines: 7 },
    { line: 4, lines: 3 },
  ])
})

test(`no function of the server or of the SDK has more than ${linesMax} lines`, () => {
  const files = globSync('{src,sdk/src}/**/*.ts', { cwd: root }).filter((path) => !/\.test\.ts$/.test(path))
  const all = files.flatMap((path) => {
    const functions = functionsIn(readFileSync(join(root, path), 'utf8'))
    return functions.map(({ line, lines }) => ({ where: `${path}:${line}`, lines }))
  })
  expect(all.length).toBeGreaterThan(1_500)
  expect(all.filter(({ lines }) => lines > linesMax)).toEqual([])
})
