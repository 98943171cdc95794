// docs/api.md and docs/errors.md.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ServerProcess } from '../../support/app.ts'
import { type Block, read, runs, type Script } from './blocks.ts'
import { shapeOf } from './shown.ts'
import { jsonOf, type Walk } from './walk.ts'

/** The phone numbers of the page, with the codes in its requests. */
const testNumbers = '+8613800005223=123456,+8613900005224=123456,+8612345678901=654321'
const addAccount =
  'echo 123456 | npm run -s hufu -- accounts add 12345678901 --nickname 测试用户1 --password-stdin --allow-weak-password'
const aMonth = 30 * 86_400_000

/** A server for the page, with the account of its examples. */
export async function serveExamples(walk: Walk): Promise<ServerProcess> {
  const until = new Date(Date.now() + aMonth).toISOString().slice(0, 10)
  const server = await walk.serve({
    HUFU_TEST_NUMBERS: testNumbers,
    HUFU_TEST_NUMBERS_UNTIL: until,
    // The examples sign in with a password and on several devices.
    HUFU_SESSION_MAX: '0',
  })
  // The account exists already on a second server of this run.
  if (!existsSync(join(walk.folder, 'account'))) await walk.shell.run(`${addAccount} && touch account`)
  return server
}

/** The status in the text around a block: the first after the block, otherwise the first of its section. */
function documentedStatus({ path, heading, line }: Block): number {
  if (!heading.includes('/v1/')) return 200
  const lines = read(path).split('\n')
  const end = lines.findIndex((text, index) => index >= line && /^#+ /.test(text))
  const begin = lines.slice(0, line).lastIndexOf(heading)
  const after = lines.slice(line, end).join('\n')
  const section = lines.slice(begin, end).join('\n')
  const [, status] = /^(20\d)[:,]/m.exec(after) ?? /\b(20\d)\b[ .:;]/.exec(section) ?? []
  return Number(status)
}

/** Runs an example; the page names its status, and the following block shows its response. */
async function example(walk: Walk, block: Block, text = block.text): Promise<void> {
  const printed = await walk.shell.run(walk.here(text))
  const [, body = '', status] = /^(.*)\n(\d+)\n$/s.exec(printed) ?? []
  expect({ body, status: Number(status) }).toEqual({ body, status: documentedStatus(block) })
  walk.printed = body
}

const request = runs((walk, block) => example(walk, block))

/** The response has the members of the example. */
const answered = runs((walk, block) => {
  expect(shapeOf(JSON.parse(walk.printed ?? ''))).toEqual(shapeOf(jsonOf(block)))
})

const post = (path: string, body: object, token = '') =>
  `curl -s http://127.0.0.1:5001${path} -H 'Content-Type: application/json' ${token} -d '${JSON.stringify(body)}'`

const password = (name: string) => ({
  phone_number: '12345678901',
  password: name,
  device: { platform: 'ios', id: 'A1B2C3', name: 'iPhone 15', app_version: '2.1.0' },
})

/** Puts a new session into TOKEN. */
async function signIn(walk: Walk, body: object): Promise<void> {
  await walk.shell.run(
    walk.here(
      `TOKEN=$(${post('/v1/sessions', body)} | grep -o '"token":"[^"]*"' | cut -d '"' -f 4)\ntest -n "$TOKEN"`,
    ),
  )
}

const codeSender = (walk: Walk, phone_number: string, purpose: string) =>
  walk.shell.run(walk.here(post('/v1/codes', { phone_number, purpose })))

/** The request of the page, after its preconditions. */
const after = (prepare: (walk: Walk) => Promise<unknown>, change = (text: string) => text) =>
  runs(async (walk, block) => {
    await prepare(walk)
    await example(walk, block, change(block.text))
  })

const signedIn = after((walk) => signIn(walk, password('123456')))

/** Starts the server; the example then signs in. */
const firstRequest = runs(async (walk, block) => {
  await serveExamples(walk)
  await example(walk, block)
})

/** The response of a sign-in, whose token the following examples use. */
const signedInAnswer = runs(async (walk, block) => {
  const answer = JSON.parse(walk.printed ?? '')
  expect(shapeOf(answer)).toEqual(shapeOf(jsonOf(block)))
  await walk.shell.run(`TOKEN=${answer.token}`)
})

/** docs/events.md describes the events. */
const answeredWithoutEvents = runs((walk, block) => {
  const { events, ...answer } = JSON.parse(walk.printed ?? '')
  expect(events.length).toBeGreaterThan(0)
  expect(shapeOf({ ...answer, events: [] })).toEqual(shapeOf(jsonOf(block)))
})

/** A session that another device has removed. */
const kicked = runs(async (walk, block) => {
  await signIn(walk, password('123456'))
  await walk.shell.run('FIRST=$TOKEN')
  await signIn(walk, { ...password('123456'), device: { platform: 'ios', name: 'iPhone 15' } })
  const printed = await walk.shell.run(
    walk.here(`curl -s -X DELETE http://127.0.0.1:5001/v1/sessions -H "Authorization: Bearer $TOKEN"
curl -s http://127.0.0.1:5001/v1/session -H "Authorization: Bearer $FIRST" -H 'Accept-Language: ${
      block.path === 'docs/api.md' ? 'zh-CN' : 'en'
    }'`),
  )
  const answer = JSON.parse(/^\{.*\}$/m.exec(printed)?.[0] ?? '')
  const { request_id: _, ended_at: __, ...same } = answer
  expect(jsonOf(block)).toMatchObject(same)
  expect(shapeOf(answer)).toEqual(shapeOf(jsonOf(block)))
})

/** Another session of this account replaces the one of the page. */
const anotherSession = runs(async (walk, block) => {
  await walk.shell.run('FIRST=$TOKEN')
  await signIn(walk, { ...password('123456'), device: { platform: 'web' } })
  await walk.shell.run('OTHER=$(cut -c 4-25 <<<$TOKEN); TOKEN=$FIRST')
  await example(walk, block, block.text.replace(/AaIE[\w-]{18}/, '$OTHER'))
})

const changeOfNumber = after(async (walk) => {
  await codeSender(walk, '13900005224', 'change_phone')
  await codeSender(walk, '12345678901', 'confirm')
})

/** The account has another number than that of the page by now. */
const classicSignIn = after((walk) => walk.shell.run(addAccount))

export const api: Script = [
  ['curl http://127.0.0.1:5001/v1/codes', firstRequest],
  ['{ "resend_in"', answered],
  ['curl http://127.0.0.1:5001/v1/sessions', request],
  ['{\n  "token"', signedInAnswer],
  ['curl http://127.0.0.1:5001/v1/session ', request],
  ['{\n  "session"', answered],
  ['{\n  "type": "urn:hufu:problem:session_kicked"', kicked],
  ['curl -X DELETE http://127.0.0.1:5001/v1/session ', request],
  ['curl -X POST http://127.0.0.1:5001/v1/session/rotate', signedIn],
  ['{\n  "token"', signedInAnswer],
  ['curl http://127.0.0.1:5001/v1/sessions ', request],
  ['{\n  "sessions"', answered],
  ['curl -X DELETE http://127.0.0.1:5001/v1/sessions ', request],
  ['curl -X DELETE http://127.0.0.1:5001/v1/sessions/', anotherSession],
  ['curl http://127.0.0.1:5001/v1/account ', request],
  ['{\n  "id"', answered],
  ['curl -X PATCH http://127.0.0.1:5001/v1/account ', request],
  ['{\n  "id"', answered],
  [
    'curl -X PUT http://127.0.0.1:5001/v1/account/password',
    // The page has one code everywhere; this number has the one that it has as its old number below.
    after(
      (walk) => codeSender(walk, '12345678901', 'confirm'),
      (text) => text.replace('"123456"', '"654321"'),
    ),
  ],
  [
    'curl http://127.0.0.1:5001/v1/password-resets',
    after(async (walk) => {
      await codeSender(walk, '13800005223', 'sign_in')
      await walk.shell.run(walk.here(post('/v1/sessions', { phone_number: '13800005223', code: '123456' })))
      await codeSender(walk, '13800005223', 'reset_password')
    }),
  ],
  ['curl -X PUT http://127.0.0.1:5001/v1/account/phone', changeOfNumber],
  [
    'curl -X DELETE http://127.0.0.1:5001/v1/account ',
    after((walk) => codeSender(walk, '13900005224', 'close_account')),
  ],
  ['{ "closes_at"', answered],
  [
    'curl http://127.0.0.1:5001/v1/account/export',
    after((walk) => signIn(walk, { ...password('correct horse battery'), phone_number: '13900005224' })),
  ],
  ['{\n  "account"', answeredWithoutEvents],
  ['curl http://127.0.0.1:5001/login', classicSignIn],
  ['{"code":1', signedInAnswer],
  ['curl http://127.0.0.1:5001/user', request],
  ['{"code":1', answered],
  ['curl http://127.0.0.1:5001/logout', request],
  ['{"code":1', answered],
  ['curl http://127.0.0.1:5001/readyz', request],
  ['{"status":"ok"', answered],
]

export const errors: Script = [
  [
    '{\n  "type": "urn:hufu:problem:session_kicked"',
    runs(async (walk) => void (await serveExamples(walk))),
    kicked,
  ],
]
