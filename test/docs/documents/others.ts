// docs/architecture.md and CONTRIBUTING.md.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { by, root, runs, type Script } from './blocks.ts'

/** Every file and folder of the tree exists, and every folder of src/ is in the tree. */
const tree = runs((_walk, { text }) => {
  const names = text.matchAll(/^( {2})?([\w.-]+)\/?(?= |$)/gm)
  const paths = [...names].map(([, isInside, name = '']) => (isInside ? `src/${name}` : name))
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  const inside = readdirSync(join(root, 'src'), { withFileTypes: true })
  const folders = inside.filter((entry) => entry.isDirectory()).map(({ name }) => `src/${name}`)
  expect(paths).toEqual(expect.arrayContaining(folders))
})

export const architecture: Script = [['src/', tree]]

export const contributing: Script = [
  ['npm ci', by('test/docs/new-machine.test.ts'), by('test/docs/docs.test.ts', 'runs only existing scripts')],
]
