// docs/service-keys.md, docs/backend.md and docs/forward-auth.md.
import { expect } from 'vitest'
import { serveExamples } from './api.ts'
import { runs, type Script } from './blocks.ts'
import { shapeOf } from './shown.ts'
import { command } from './steps.ts'
import { jsonOf, type Walk } from './walk.ts'

/** The page's id of a key. */
const documentedId = 'abcdefghijkl'

/** Creates a key as the page does; later blocks have its id in place of the documented one. */
const created = runs(async (walk, { text }) => {
  const printed = await walk.run(text)
  const [, id = expect.fail(printed)] = /hfk_([a-z0-9]{12})_[A-Za-z0-9]{49}/.exec(printed) ?? []
  walk.put(id, documentedId)
})

export const serviceKeys: Script = [
  ['npm run -s hufu -- keys create', created],
  ['npm run -s hufu -- keys rotate', command],
  ['npm run -s hufu -- keys revoke', command],
]

/** A server with the account of the examples, a key in KEY, and a token in TOKEN. */
async function prepare(walk: Walk): Promise<void> {
  await serveExamples(walk)
  await walk.shell.run(
    walk.here(`
KEY=$(npm run -s hufu -- keys create --name test --scope introspect | grep -o 'hfk_[A-Za-z0-9_]*' | head -n 1)
TOKEN=$(curl -s http://127.0.0.1:5001/v1/sessions -H 'Content-Type: application/json' \
  -d '{"phone_number":"12345678901","password":"123456","device":{"platform":"ios"}}' | grep -o 'hf_[A-Za-z0-9_-]*')
test -n "$KEY" -a -n "$TOKEN"`),
  )
}

const asked = runs(async (walk, { text }) => {
  await prepare(walk)
  await walk.run(text)
})

const answered = runs((walk, block) => {
  expect(shapeOf(JSON.parse(walk.printed ?? ''))).toEqual(shapeOf(jsonOf(block)))
})

export const backend: Script = [
  ['npm run -s hufu -- keys create', created],
  ['curl -s http://127.0.0.1:5001/v1/introspect', asked],
  ['{"active":true', answered],
]

export const forwardAuth: Script = [['npm run -s hufu -- keys create', created]]
