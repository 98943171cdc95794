// A database that refuses: the server does not wait where waiting cannot help, and prints advice in one
// language; doctor prints the same.
import { sql } from 'kysely'
import { describe, expect, inject, test } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { runCommand } from '../support/app.ts'

const url = (name: 'mariadb' | 'postgres', login: string, path: string) => {
  const { url } = inject(name)
  return `${(url ?? '').replace(/\/\/\w+@/, `//${login}@`)}/${path}`
}
const cases = [
  ['mariadb', 'nobody:hunter2', 'hufu', /refuses the user name or the password/, '用户名或密码'],
  ['mariadb', 'root', 'hufu_nowhere', /does not exist: create it/, '数据库不存在'],
  ['mariadb', 'root', 'mysql?ssl-mode=REQUIRED', /asks for TLS, which did not come about/, '要求 TLS'],
  ['postgres', 'nobody:hunter2', 'postgres', /refuses the user name or the password/, '用户名或密码'],
  ['postgres', 'hufu', 'hufu_nowhere', /does not exist: create it/, '数据库不存在'],
  ['postgres', 'hufu', 'postgres?sslmode=require', /asks for TLS, which did not come about/, '要求 TLS'],
] as const

describe.each(cases)('%s as %s on %s', (name, login, path, english, chinese) => {
  test.skipIf(inject(name).skipped !== null)('ends serve at once, with 2 and advice', async () => {
    const environment = { HUFU_DATABASE_URL: url(name, login, path), HUFU_DATABASE_WAIT_SECONDS: '3600' }
    const en = await runCommand(['serve'], environment)
    expect(en).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(english) })
    const zh = await runCommand(['accounts', 'list'], { ...environment, LANG: 'zh_CN.UTF-8' })
    expect(zh).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(chinese) })
    const doctor = await runCommand(['doctor'], environment)
    expect(doctor).toMatchObject({ code: 1, stdout: expect.stringMatching(english) })
    expect(en.stderr + zh.stderr + doctor.stdout).not.toContain('hunter2')
  })
})

test.skipIf(inject('mariadb').skipped !== null)(
  'a MariaDB user without rights on a database that does not exist gets advice about both',
  async () => {
    const db = openDatabase(dialectFor(url('mariadb', 'root', 'mysql'), 1))
    await sql`create user 'without_rights'@'%' identified by 'hunter2'`.execute(db)
    const { code, stderr } = await runCommand(['serve'], {
      HUFU_DATABASE_URL: url('mariadb', 'without_rights:hunter2', 'hufu_nowhere'),
    }).finally(async () => {
      await sql`drop user 'without_rights'@'%'`.execute(db)
      await db.destroy()
    })
    expect(code).toBe(2)
    expect(stderr).toMatch(/does not exist, or its user may not use it: check the name/)
  },
)
