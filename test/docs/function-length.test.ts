// No function has more lines than the limit, from its first line to its last, with blank lines, comments and
// nested functions: a list of handlers that closes over a parameter counts as a whole. (Biome's rule counts
// neither blank lines nor comments.) The function that `describe` gets is a list of tests and is not counted;
// the tests in it are.
import { globSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'

const linesMax = 70
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The parts of a node of ESTree that are read here, with the offsets that the parser adds. */
interface Node {
  readonly type?: string
  readonly start?: number
  readonly end?: number
  readonly name?: string
  readonly callee?: Node
  readonly object?: Node
  readonly tag?: Node
  readonly arguments?: readonly Node[]
}

/** Whether a node calls `describe`, also as `describe.each(list)` or with a template. */
function isDescribe(node: Node): boolean {
  const inner = node.callee ?? node.object ?? node.tag
  return inner === undefined ? node.name === 'describe' : isDescribe(inner)
}

/** The first line and the number of lines of each function of a source. */
function functionsIn(source: string): { line: number; lines: number }[] {
  // Types become white space, so each line keeps its number.
  const text = stripTypeScriptTypes(source)
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)]
  const lineAt = (offset: number) => starts.findLastIndex((start) => start <= offset) + 1
  const found: { line: number; lines: number }[] = []
  const visit = (value: unknown, isCounted = true): void => {
    if (typeof value !== 'object' || value === null) return
    const node = value as Node
    const { type, start = 0, end = 0 } = node
    if (isCounted && type !== undefined && /Function/.test(type)) {
      const line = lineAt(start)
      found.push({ line, lines: lineAt(end) - line + 1 })
    }
    const tests = type === 'CallExpression' && isDescribe(node) ? (node.arguments ?? []) : []
    for (const one of tests) visit(one, false)
    for (const inner of Object.values(node)) if (inner !== tests) visit(inner)
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

test('a list of tests is not counted, and the tests in it are', () => {
  const list = [
    "describe.each(kinds)('$name', ({ name }) => {",
    '  test(name, () => {',
    '    x',
    '  })',
    '})',
  ]
  expect(functionsIn(list.join('\n'))).toEqual([{ line: 2, lines: 3 }])
})

test(`no function has more than ${linesMax} lines`, () => {
  const exclude = ['**/node_modules/**', '**/dist/**']
  const files = globSync('{src,sdk,bench,test}/**/*.ts', { cwd: root, exclude })
  const all = files.flatMap((path) => {
    const functions = functionsIn(readFileSync(join(root, path), 'utf8'))
    return functions.map(({ line, lines }) => ({ where: `${path}:${line}`, lines }))
  })
  expect(all.length).toBeGreaterThan(6_000)
  expect(all.filter(({ lines }) => lines > linesMax)).toEqual([])
})
