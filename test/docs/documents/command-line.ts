// docs/command-line.md.
import { expect } from 'vitest'
import { serveExamples } from './api.ts'
import { type Block, runs, type Script } from './blocks.ts'
import { shapeOf } from './shown.ts'
import { jsonOf, type Walk } from './walk.ts'

/** The command prints a line with the members of the example. */
async function printLike(walk: Walk, block: Block, command: string): Promise<void> {
  const [line = ''] = (await walk.shell.run(`npm run -s hufu -- ${command}`)).split('\n')
  const { detail, ...answer } = JSON.parse(line)
  const { detail: documented, ...rest } = jsonOf(block) as { detail?: object }
  expect(shapeOf(answer)).toEqual(shapeOf(rest))
  expect(typeof detail).toBe(typeof documented)
}

const prints = (command: string) => runs((walk, block) => printLike(walk, block, command))

const printsAfter = (first: string, command: string) =>
  runs(async (walk, block) => {
    await walk.shell.run(`npm run -s hufu -- ${first}`)
    await printLike(walk, block, command)
  })

const signedIn = runs(async (walk) => {
  await serveExamples(walk)
  await walk.shell.run(
    walk.here(
      `curl -s http://127.0.0.1:5001/login -H 'Content-Type: application/json' -d '{"phone_number":"12345678901","password":"123456"}'`,
    ),
  )
})

export const commandLine: Script = [
  [
    '{"id"',
    prints('accounts add 13800005223 --password-stdin --allow-weak-password --json < <(echo 123456)'),
  ],
  ['{"id"', signedIn, prints('accounts show 12345678901 --json')],
  ['{"id"', prints('events 12345678901 --json')],
  ['{"id"', prints('sessions list 12345678901 --json')],
  [
    '{"id"',
    printsAfter(
      'keys create --name billing --scope introspect --network 10.0.0.0/8 --expires 90d',
      'keys list --json',
    ),
  ],
  ['{"at"', prints(`keys events "$(npm run -s hufu -- keys list --json | cut -d '"' -f 4)" --json`)],
]
