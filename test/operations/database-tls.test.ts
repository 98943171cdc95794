// MariaDB and PostgreSQL by TLS: which certificates each mode accepts, and that nothing falls back to
// plaintext.

import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { runCommand } from '../support/app.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { type Authority, createAuthority, type TlsFiles } from '../support/services/certificates.ts'
import { createMariadbDatabase, startMariadb } from '../support/services/mariadb.ts'
import { freePort } from '../support/services/ports.ts'
import { createPostgresDatabase, startPostgres } from '../support/services/postgres.ts'

type Server = { readonly url: string; stop(): Promise<void> }

const openssl = whyMissing(['openssl'], 'openssl')
const kinds = [
  {
    name: 'mariadb',
    skipped: inject('mariadb').skipped ?? openssl,
    start: (tls?: TlsFiles): Promise<Server> => startMariadb(tls ? { tls } : {}),
    create: createMariadbDatabase,
    // The terms of each vendor's console.
    words: {
      require: 'ssl-mode=REQUIRED',
      ca: 'ssl-mode=VERIFY_CA',
      full: 'ssl-mode=VERIFY_IDENTITY',
      file: 'ssl-ca',
    },
  },
  {
    name: 'postgres',
    skipped: inject('postgres').skipped ?? openssl,
    start: (tls?: TlsFiles): Promise<Server> => startPostgres(tls ? { tls } : {}),
    create: createPostgresDatabase,
    words: {
      require: 'sslmode=require',
      ca: 'sslmode=verify-ca',
      full: 'sslmode=verify-full',
      file: 'sslrootcert',
    },
  },
]

/** Whether a statement succeeds, or the error. */
async function ask(url: string): Promise<string> {
  const db = openDatabase(dialectFor(url, 1))
  try {
    await sql`select 1`.execute(db)
    return 'connected'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await db.destroy()
  }
}

describe.each(kinds)('$name', ({ skipped, start, create, words }) => {
  describe.skipIf(skipped !== null)('by TLS', () => {
    let ours: Authority
    let strangers: Authority
    const servers: Server[] = []

    const serve = async (tls?: TlsFiles) => {
      const server = await start(tls)
      servers.push(server)
      return await create(server.url)
    }
    beforeAll(() => {
      ours = createAuthority('Hufu tests')
      strangers = createAuthority('A stranger')
    })
    afterAll(async () => {
      for (const server of servers) await server.stop()
      ours?.remove()
      strangers?.remove()
    })
    const doctor = async (url: string) => (await runCommand(['doctor'], { HUFU_DATABASE_URL: url })).stdout

    test('a valid certificate is accepted in every mode, by its address and by its name', async () => {
      const url = await serve(ours.issue({ name: 'IP:127.0.0.1,DNS:localhost' }))
      const trusted = `${words.file}=${ours.file}`
      for (const host of ['127.0.0.1', 'localhost'])
        for (const mode of [words.require, `${words.ca}&${trusted}`, `${words.full}&${trusted}`])
          expect(`${mode} ${await ask(`${url.replace('127.0.0.1', host)}?${mode}`)}`).toBe(
            `${mode} connected`,
          )
      // Of several hosts, the first one does not answer: the name of the second one is verified.
      const both = url.replace('127.0.0.1', `localhost:${await freePort()},127.0.0.1`)
      expect(await ask(`${both}?${words.full}&${trusted}`)).toBe('connected')
      expect(await doctor(`${url}?${words.full}&${trusted}`)).toMatch(
        /✓ tls .*encrypted \(TLSv1\.\d\), .*verified/,
      )
      expect(await doctor(`${url}?${words.ca}&${trusted}`)).toMatch(/! tls .*not for the name of the host/)
      expect(await doctor(`${url}?${words.require}`)).toMatch(/! tls .*certificate is not verified/)
      expect(await doctor(url)).toMatch(/✓ tls .*not encrypted, and does not leave this machine/)
    })

    test('without an authority of its own it is verified with those of Node', async () => {
      const url = `${await serve(ours.issue())}?${words.full}`
      expect(await ask(url)).toMatch(/self-signed|unable to/)
      const environment = { HUFU_DATABASE_URL: url, NODE_EXTRA_CA_CERTS: ours.file }
      expect((await runCommand(['doctor'], environment)).stdout).toMatch(/✓ tls .*verified/)
    })

    test.each([
      ['that a stranger signed', () => strangers.issue(), /self-signed|unable to/, /self-signed|unable to/],
      ['that has run out', () => ours.issue({ days: -1 }), /expired/, /expired/],
      [
        'for another name',
        () => ours.issue({ name: 'DNS:db.example' }),
        /^connected$/,
        /altnames|does not match/,
      ],
      ['for another address', () => ours.issue({ name: 'IP:127.0.0.2' }), /^connected$/, /altnames|IP/],
    ])('a certificate %s is refused where it is verified', async (_which, issue, withCa, withName) => {
      const url = await serve(issue())
      const trusted = `${words.file}=${ours.file}`
      expect(await ask(`${url}?${words.ca}&${trusted}`)).toMatch(withCa)
      expect(await ask(`${url}?${words.full}&${trusted}`)).toMatch(withName)
      const both = url.replace('127.0.0.1', `localhost:${await freePort()},127.0.0.1`)
      expect(await ask(`${both}?${words.full}&${trusted}`)).toMatch(withName)
    })

    test('a server without TLS is refused in every mode: nothing falls back to plaintext', async () => {
      const url = await serve()
      expect(await ask(url)).toBe('connected')
      for (const mode of [words.require, words.ca, words.full])
        expect(`${mode} ${await ask(`${url}?${mode}`)}`).toMatch(/does not support (secure|SSL) connection/)
      const refused = await runCommand(['doctor'], { HUFU_DATABASE_URL: `${url}?${words.require}` })
      expect(refused).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/✗ database .*does not support/),
      })
    })
  })
})
