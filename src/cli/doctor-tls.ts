// doctor's check of the connections to the database and to Redis: are they encrypted, and is the other end
// verified?
import { sql } from 'kysely'
import { type DatabaseServer, isOnThisMachine } from '../database/database-url.ts'
import type { Database } from '../database/schema.ts'
import { parseRedisUrl } from '../redis/redis-url.ts'
import { isLoopback } from '../url-parts.ts'
import type { Finding } from './doctor-finding.ts'
import type { Output } from './output.ts'

/** Asks the server, because a setting does not prove that the connection is encrypted. */
export async function databaseTlsFinding(
  db: Database,
  place: DatabaseServer,
  output: Output,
): Promise<Finding> {
  const protocol = await databaseProtocol(db, place.kind)
  const of = output.say('到数据库的连接', 'the connection to the database')
  if (protocol === null) return plaintext(of, isOnThisMachine(place), 'ssl-mode=verify-full', output)
  const mode = place.tls?.mode ?? 'require'
  if (mode === 'verify-full')
    return good(
      output.say(
        `${of}已加密（${protocol}），证书和主机名已验证`,
        `${of} is encrypted (${protocol}), its certificate and name are verified`,
      ),
    )
  const [zh, en] =
    mode === 'verify-ca'
      ? ['证书已验证，但主机名没有', 'its certificate is verified, but not for the name of the host']
      : [
          '但证书没有验证，任何人都可以冒充数据库',
          'but its certificate is not verified, so another server can pretend to be it',
        ]
  return {
    check: 'tls',
    status: 'warning',
    text: output.say(
      `${of}已加密（${protocol}），${zh}：请写 ssl-mode=verify-full`,
      `${of} is encrypted (${protocol}), ${en}; write ssl-mode=verify-full`,
    ),
  }
}

/** null: plaintext. */
async function databaseProtocol(db: Database, kind: DatabaseServer['kind']): Promise<string | null> {
  if (kind === 'mysql') {
    const { rows } = await sql<{ Value: string }>`show session status like 'Ssl_version'`.execute(db)
    return rows[0]?.Value || null
  }
  const { rows } = await sql<{ version: string | null }>`
    select version from pg_stat_ssl where ssl and pid = pg_backend_pid()`.execute(db)
  return rows[0]?.version ?? null
}

/** A TLS connection always verifies the server: redis/node.ts has no option against it. */
export function redisTlsFinding(url: string, addresses: readonly string[], output: Output): Finding {
  const of = output.say('到 Redis 的连接', 'the connection to Redis')
  if (parseRedisUrl(url).nodes.scheme === 'rediss')
    return good(
      output.say(
        `${of}已加密，证书和主机名已验证`,
        `${of} is encrypted, its certificate and name are verified`,
      ),
    )
  const areHere = addresses.every((address) =>
    isLoopback(address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')),
  )
  return plaintext(of, areHere, 'rediss://', output)
}

function good(text: string): Finding {
  return { check: 'tls', status: 'ok', text }
}

function plaintext(of: string, isHere: boolean, remedy: string, output: Output): Finding {
  if (isHere)
    return good(
      output.say(`${of}没有加密，但不离开本机`, `${of} is not encrypted, and does not leave this machine`),
    )
  return {
    check: 'tls',
    status: 'warning',
    text: output.say(
      `${of}没有加密，网络上的人可以读到密码和令牌的数据：请用 ${remedy}，除非网络是私有的`,
      `${of} is not encrypted, and the network can read passwords and data of tokens: write ${remedy}, unless the network is private`,
    ),
  }
}
