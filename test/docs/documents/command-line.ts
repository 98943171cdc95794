// docs/command-line.md.
import { expect } from 'vitest'
import { serveExamples } from './api.ts'
import { runs, type Script } from './blocks.ts'
import { shapeOf } from './shown.ts'
import { jsonOf } from './walk.ts'

/** The command prints a line with the members of the example. */
const prints = (command: string) =>
  runs(async (walk, block) => {
    const [line = ''] = (await walk.shell.run(`npm run -s hufu -- ${command}`)).split('\n')
    const { detail, ...answer } = JSON.parse(line)
    const { detail: documented, ...rest } = jsonOf(block) as { detail?: object }
    expect(shapeOf(answer)).toEqual(shapeOf(rest))
    expect(typeof detail).toBe(typeof documented)
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
]
