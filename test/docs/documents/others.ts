// docs/architecture.md and CONTRIBUTING.md.
import { existsSync, globSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { by, read, root, runs, type Script } from './blocks.ts'

/** Every file and folder of the tree exists, and every folder of src/ is in the tree. */
const tree = runs((_walk, { text }) => {
  const names = text.matchAll(/^( {2})?([\w.-]+)\/?(?= |$)/gm)
  const paths = [...names].map(([, isInside, name = '']) => (isInside ? `src/${name}` : name))
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  const inside = readdirSync(join(root, 'src'), { withFileTypes: true })
  const folders = inside.filter((entry) => entry.isDirectory()).map(({ name }) => `src/${name}`)
  expect(paths).toEqual(expect.arrayContaining(folders))
})

/** Every folder of the picture exists, and each arrow is an import. */
const picture = runs((_walk, { text }) => {
  const isFolder = (name: string) => existsSync(join(root, 'src', name))
  const arrows = [...text.matchAll(/^ {2}([\w-]+)\S*? --> ([\w-]+)(.*)$/gm)]
  const drawn = arrows.flatMap(([, from = '', to = '', shape = '']) => {
    // A shape behind a name makes it a thing outside of this program.
    const names = [from, to].filter((name) => !outside.includes(name) && !(name === to && shape !== ''))
    expect(names.filter((name) => !isFolder(name))).toEqual([])
    return names.length === 2 ? [`${from} -> ${to}`] : []
  })
  expect(drawn.length).toBeGreaterThan(15)
  expect(drawn.filter((arrow) => !importsBetween().has(arrow))).toEqual([])
})

const outside: readonly string[] = ['apps', 'operators']

/** Which folder of src/ imports which, as `from -> to`. */
function importsBetween(): ReadonlySet<string> {
  const found = new Set<string>()
  for (const path of globSync('*/**/*.ts', { cwd: join(root, 'src') })) {
    const [from = ''] = path.split('/')
    for (const [, to = ''] of read(`src/${path}`).matchAll(/from '(?:\.\.\/)+([\w-]+)\//g))
      if (from !== to && !path.endsWith('.test.ts')) found.add(`${from} -> ${to}`)
  }
  return found
}

export const architecture: Script = [
  ['src/', tree],
  ['flowchart TD', picture],
]

export const contributing: Script = [
  ['npm ci', by('test/docs/new-machine.test.ts'), by('test/docs/docs.test.ts', 'runs only existing scripts')],
]
