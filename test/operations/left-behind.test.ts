// The change from SQLite to a server database: the accounts of the file are not there, and serve and doctor
// say so.
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { countAccountsInFile } from '../../src/database/accounts-in-file.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { person, runCommand, startProcess } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A folder where the default file has one account. */
async function folderOfBefore(): Promise<{ cwd: string; file: string }> {
  const cwd = createFolder('left')
  closers.push(() => removeFolder(cwd))
  const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
  expect((await runCommand(add, {}, { cwd, stdin: person.password })).code).toBe(0)
  return { cwd, file: join(cwd, 'data', 'hufu.db') }
}

/** The names of the folder's files, and everything that would show a change of the file. */
const traces = (file: string) => ({
  names: readdirSync(join(file, '..')),
  bytes: readFileSync(file).toString('base64'),
  changed: statSync(file).mtimeMs,
})

describe.each(databases.filter(({ name }) => name !== 'sqlite'))('on $name', (database) => {
  test.skipIf(database.skipped !== null)(
    'serve and doctor report a new database beside a file with accounts, until it is a week old',
    { timeout: 240_000 },
    async () => {
      const { cwd, file } = await folderOfBefore()
      const before = traces(file)
      const { url, drop } = await database.createEmpty()
      closers.push(drop)
      const environment = { HUFU_DATABASE_URL: url }
      const server = await startProcess({ ...environment, LANG: 'zh_CN.UTF-8' }, { cwd })
      closers.push(() => server.stop())
      await expect.poll(server.output).toContain('npm run demo')
      expect(
        server
          .output()
          .split('\n')
          .filter((line) => line.includes(file)),
      ).toEqual([expect.stringContaining('里有 1 个账号，当前数据库里没有它们')])
      const doctor = () => runCommand(['doctor'], environment, { cwd })
      expect(await doctor()).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(
          `! database   accounts in ${file}: 1, and this database does not have them: remove HUFU_DATABASE_URL (from the environment or .env) to go on`,
        ),
      })
      expect(traces(file)).toEqual(before)

      const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
      await runCommand(add, environment, { cwd, stdin: person.password })
      expect((await doctor()).stdout).toContain(file)
      const db = openDatabase(dialectFor(url, 1))
      await db
        .updateTable('hufu_accounts')
        .set({ registered_at: Date.now() - 8 * 24 * 3_600_000 })
        .execute()
      await db.destroy()
      expect((await doctor()).stdout).not.toContain(file)
    },
  )
})

test('a file that is missing, foreign, broken, a folder or not readable counts as none', async () => {
  const folder = createFolder('foreign')
  closers.push(() => removeFolder(folder))
  const path = join(folder, 'hufu.db')
  expect(countAccountsInFile(path, 10)).toBe(0)
  expect(readdirSync(folder)).toEqual([])
  writeFileSync(path, 'no database at all, but long enough to be looked at')
  expect(countAccountsInFile(path, 10)).toBe(0)
  chmodSync(path, 0)
  expect(countAccountsInFile(path, 10)).toBe(0)
  mkdirSync(join(folder, 'sub'))
  expect(countAccountsInFile(join(folder, 'sub'), 10)).toBe(0)
})
