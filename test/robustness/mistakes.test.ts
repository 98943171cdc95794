// The mistakes of the first hours with Hufu: each is really made, and its message says what was wrong and
// what to do.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCommand, startProcess } from '../support/app.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { accountMistakes, callMistakes } from './mistakes/command-line.ts'
import { isText, type Mistake, type ServeHooks, secret } from './mistakes/mistake.ts'
import { requestMistakes } from './mistakes/requests.ts'
import { settingMistakes, startMistakes } from './mistakes/settings.ts'
import { storeMistakes } from './mistakes/stores.ts'

const groups: Readonly<Record<string, readonly Mistake[]>> = {
  'the command line': callMistakes,
  'accounts and sessions': accountMistakes,
  'the first start': startMistakes,
  settings: settingMistakes,
  'databases and Redis': storeMistakes,
  requests: requestMistakes,
}

let surroundings: ServeHooks

beforeAll(async () => {
  const folder = createFolder('mistakes')
  const added = await runCommand(
    ['accounts', 'add', '13800005223', '--password-stdin'],
    {},
    { cwd: folder, stdin: 'correct horse battery' },
  )
  expect(added.code).toBe(0)
  surroundings = { folder, server: await startProcess({}, { cwd: folder }) }
})
afterAll(async () => {
  await surroundings?.server.stop()
  if (surroundings) removeFolder(surroundings.folder)
})

describe.each(Object.entries(groups))('%s', (_name, mistakes) => {
  for (const { mistake, skipped = null, make, en, zh, wrong, instead } of mistakes)
    test.skipIf(skipped !== null)(mistake, async () => {
      const [inEnglish, inChinese] = await Promise.all([
        make(surroundings, 'en'),
        make(surroundings, 'zh-CN'),
      ])
      if (!isText(inEnglish, en)) expect(inEnglish).toBe(en)
      if (!isText(inChinese, zh)) expect(inChinese).toBe(zh)
      for (const [language, text] of [
        ['en', inEnglish],
        ['zh-CN', inChinese],
      ] as const) {
        if (wrong !== null) expect(text).toContain(wrong)
        expect(text).toContain(typeof instead === 'string' ? instead : instead[language])
        expect(text).not.toContain(secret)
      }
      expect(inEnglish).not.toMatch(/\p{Script=Han}/u)
      expect(inChinese).toMatch(/\p{Script=Han}/u)
    })
})

test('there are at least thirty, and no two of them are the same', () => {
  const names = Object.values(groups).flatMap((mistakes) => mistakes.map(({ mistake }) => mistake))
  expect(new Set(names).size).toBe(names.length)
  for (const { wrong, instead } of Object.values(groups).flat()) {
    expect(wrong).not.toBe('')
    expect(instead).not.toBe('')
  }
  expect(names.length).toBeGreaterThanOrEqual(60)
})
