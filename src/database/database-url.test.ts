import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type DatabaseServer, parseDatabaseUrl } from './database-url.ts'

const folder = mkdtempSync(join(tmpdir(), 'hufu-place-'))
const pem = join(folder, 'ca.pem')
writeFileSync(pem, '-----BEGIN CERTIFICATE-----\n')
afterAll(() => rmSync(folder, { recursive: true }))

function server(url: string): DatabaseServer {
  const place = parseDatabaseUrl(url)
  if (place.kind === 'sqlite') expect.fail()
  return place
}

describe('a database URL is read without a loss', () => {
  test.each([
    [
      'mysql://hufu:p%40ss%2F1%3F%23%25@db.internal:3307/hufu',
      {
        kind: 'mysql',
        addresses: [{ host: 'db.internal', port: 3307 }],
        user: 'hufu',
        password: 'p@ss/1?#%',
        database: 'hufu',
      },
    ],
    [
      "postgres://u:a:b+c&d=e;f$g!h*i'(j),k~l@[fd00::1]/x",
      { addresses: [{ host: 'fd00::1', port: 5432 }], password: "a:b+c&d=e;f$g!h*i'(j),k~l" },
    ],
    ['mariadb://root@127.0.0.1/x', { kind: 'mysql', user: 'root', password: null, tls: null }],
    ['postgresql://hufu@db', { kind: 'postgres', database: null }],
    ['postgres://hufu@/x?host=/var/run/postgresql', { socket: '/var/run/postgresql', database: 'x' }],
    ['mysql://hufu@localhost/x?unix_socket=/run/mysqld/mysqld.sock', { socket: '/run/mysqld/mysqld.sock' }],
    [
      'postgres://u:p@db/x?application_name=my%20app&options=-c%20search_path%3Dhufu',
      { applicationName: 'my app', options: '-c search_path=hufu' },
    ],
    ['mysql://u:p@db/x?charset=utf8mb4', { tls: null }],
    [
      'postgres://u:p@db1,[fd00::2],db3:5433/x?target_session_attrs=read-write',
      {
        addresses: [
          { host: 'db1', port: 5432 },
          { host: 'fd00::2', port: 5432 },
          { host: 'db3', port: 5433 },
        ],
      },
    ],
    [
      'mysql://u:p@db1:3307,db1:3308/x',
      {
        addresses: [
          { host: 'db1', port: 3307 },
          { host: 'db1', port: 3308 },
        ],
      },
    ],
    ['postgres://u:p@db/x?target_session_attrs=read-write&client_encoding=UTF8', { tls: null }],
  ])('%s', (url, expected) => {
    expect(server(url)).toMatchObject(expected)
  })
})

describe('what each vendor writes of TLS means what it means there, or more', () => {
  const ca = `=${pem}`
  test.each([
    // The consoles of DigitalOcean, Aiven, Azure; mysql's own words; Connector/J; MariaDB's connectors.
    ['mysql', 'ssl-mode=REQUIRED', 'require'],
    ['mysql', 'sslMode=VERIFY_CA', 'verify-ca'],
    ['mysql', 'ssl_mode=VERIFY_IDENTITY', 'verify-full'],
    ['mysql', 'sslmode=verify-full', 'verify-full'],
    ['mysql', 'sslMode=trust', 'require'],
    ['mysql', 'ssl-mode=DISABLED', null],
    ['mysql', 'useSSL=true&requireSSL=true', 'require'],
    ['mysql', 'useSSL=true&verifyServerCertificate=true', 'verify-ca'],
    ['mysql', 'useSSL=false', null],
    // PlanetScale, TiDB, Go, drivers of Node.
    ['mysql', 'sslaccept=strict', 'verify-full'],
    ['mysql', 'ssl=%7B%22rejectUnauthorized%22%3Atrue%7D', 'verify-full'],
    ['mysql', 'ssl={"rejectUnauthorized":false}', 'require'],
    ['mysql', 'ssl=true', 'verify-full'],
    ['mysql', 'ssl=0', null],
    ['mysql', 'tls=skip-verify', 'require'],
    // An authority without a mode verifies the server.
    ['mysql', `ssl-ca${ca}`, 'verify-full'],
    ['mysql', `ssl-mode=REQUIRED&ssl-ca${ca}`, 'verify-ca'],
    ['postgres', 'sslmode=require', 'require'],
    ['postgres', `sslmode=require&sslrootcert${ca}`, 'verify-ca'],
    ['postgres', 'sslmode=verify-full&sslrootcert=system', 'verify-full'],
    ['postgres', 'sslmode=verify-ca', 'verify-ca'],
    ['postgres', 'sslmode=no-verify', 'require'],
    ['postgres', 'sslmode=disable', null],
    ['postgres', 'ssl=true', 'verify-full'],
    // Neon: channel binding.
    ['postgres', 'sslmode=require&channel_binding=require', 'verify-full'],
    ['postgres', 'sslmode=require&sslnegotiation=direct', 'require'],
  ])('%s://…?%s', (scheme, query, mode) => {
    expect(server(`${scheme}://u:p@db/x?${query}`).tls?.mode ?? null).toBe(mode)
  })
})

describe('what is not done is refused by its name, with what to write', () => {
  test.each([
    [
      'mysql://u:p@db/x?ssl-mode=PREFERRED',
      /option ssl-mode, which may fall back to plaintext: write verify-full/,
    ],
    ['postgres://u:p@db/x?sslmode=prefer', /option sslmode, which may fall back to plaintext/],
    ['postgres://u:p@db/x?sslmode=allow', /option sslmode, which may fall back to plaintext/],
    ['mysql://u:p@db/x?tls=preferred', /option tls, which may fall back to plaintext/],
    ['mysql://u:p@db/x?ssl-mode=on', /option ssl-mode with a value that is not known/],
    ['mysql://u:p@db/x?ssl={"ca":"x"}', /option ssl with a value that is not known/],
    ['mysql://u:p@db/x?ssl=Amazon%20RDS', /option ssl with a value that is not known/],
    ['mysql://u:p@db/x?ssl-mod=REQUIRED', /option ssl-mod, which cannot be used: write ssl-mode$/],
    ['mysql://u:p@db/x?sslm0de=REQUIRED', /option sslm0de, .*: write ssl-mode$/],
    ['postgres://u:p@db/x?ssl_root_cret=a', /option ssl_root_cret, .*: write sslrootcert$/],
    ['postgres://u:p@db/x?tls=true', /option tls, which cannot be used: the known ones are sslmode, /],
    ['mysql://u:p@db/x?ssl-mode=REQUIRED&useSSL=false', /option useSSL, which contradicts another/],
    ['mysql://u:p@db/x?ssl-mode=REQUIRED&sslMode=VERIFY_CA', /has the option sslMode twice/],
    [`postgres://u:p@db/x?sslmode=disable&sslrootcert=${pem}`, /turns TLS off and has options of TLS/],
    ['postgres://u:p@db/x?sslrootcert=/nothing.pem', /option sslrootcert, .* cannot be read or is not PEM/],
    [`postgres://u:p@db/x?sslcert=${pem}`, /certificate of the client and its key together/],
    ['postgres://u:p@a,b,/x', /^must be sqlite:<path>/],
    ['mysql://u:p@a,,b/x', /^must be sqlite:<path>/],
    ['mysql://u:p@a,b:99999/x', /^must be sqlite:<path>/],
    ['mysql://u:p@a,b,A:3306/x', /names the same host and port twice/],
    ['mysql://u:p@a,b,c,d,e,f,g,h,i/x', /may name 8 hosts at most/],
    ['postgres://u:p@a b/x?host=/run/postgresql', /^must be sqlite:<path>/],
    ['postgres://u:p@a,b/x?host=/run/postgresql', /several hosts and a Unix socket/],
    ['postgres://u:p@db/x?target_session_attrs=standby', /option target_session_attrs, .*needs the primary/],
    ['postgres://u:p@db/x?host=otherdb', /option host, which must be the absolute path of a Unix socket/],
    ['postgres://u:p@db/x?connect_timeout=10', /option connect_timeout, .*its own time limits/],
    ['postgres://u:p@db/x?pgbouncer=true', /option pgbouncer, .*session mode/],
    ['postgres://u:p@db/x?schema=public', /option schema, .*search_path/],
    [
      'postgres://u:p@db/x?channel_binding=on',
      /option channel_binding, which must be require, prefer or disable/,
    ],
    ['mysql://u:p@db/x?connectionLimit=5', /option connectionLimit, .*HUFU_DATABASE_POOL/],
    ['mysql://u:p@db/x?charset=latin1', /option charset, .*UTF-8/],
    [
      'mysql://u:p@db/x?multipleStatements=true',
      /option multipleStatements, .*the known ones are ssl-mode, /,
    ],
    ['mysql://u:p@db/x?user=other', /option user, .*before the "\?"/],
    ['mysql+pymysql://u:p@db/x', /^must begin with mysql:\/\/ and not with mysql\+pymysql:\/\/$/],
    ['jdbc:postgresql://db/x', /^must begin with postgresql:\/\/ and not with jdbc:postgresql:\/\/$/],
    ['sqlite:///hufu.db', /path right behind sqlite:/],
    ['sqlite://data/hufu.db', /path right behind sqlite:/],
    ['sqlite:~/hufu.db', /path right behind sqlite:/],
    ['sqlite:./hufu.db?mode=ro', /no options/],
    ['mysql://u:p@db', /^must be sqlite:<path>/],
    ['mysql://u:p@db:99999/x', /^must be sqlite:<path>/],
    ['mysql://u:p@db/x/y', /^must be sqlite:<path>/],
    ['mysql://u:50%@db/x', /write it as %25/],
  ])('%s', (url, sentence) => {
    expect(() => parseDatabaseUrl(url)).toThrow(sentence)
  })
})
