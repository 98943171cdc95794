// Mistakes about databases and Redis: against real servers.
import { inject } from 'vitest'
import { freePort } from '../../support/services/ports.ts'
import { command, type Mistake, secret } from './mistake.ts'

const [mariadb, postgres, redis] = [inject('mariadb'), inject('postgres'), inject('redis')]

/** The URL of a test server with another login, or another database. */
const at = (url: string | null, login: string, path = '') =>
  `${(url ?? '').replace(/\/\/(?:\w+@)?/, `//${login}`)}${path}`

const ofDatabase = (url: string, args: readonly string[] = ['serve']) =>
  command(args, { environment: { HUFU_DATABASE_URL: url, HUFU_DATABASE_WAIT_SECONDS: '0' } })

const doctor = (url: string) => command(['doctor'], { environment: { HUFU_REDIS_URL: url } })

/** The line about Redis in the output of doctor. */
function redisLine(make: Mistake['make'], like = /^[✓!✗] redis/): Mistake['make'] {
  return async (surroundings, language) => {
    const lines = (await make(surroundings, language)).split('\n')
    return lines.find((line) => like.test(line)) ?? lines.join('\n')
  }
}

export const storeMistakes: readonly Mistake[] = [
  {
    mistake: 'a database server that does not run',
    make: async (surroundings, language) => {
      const url = `mysql://hufu:${secret}@127.0.0.1:${await freePort()}/hufu`
      return await ofDatabase(url, ['accounts', 'list'])(surroundings, language)
    },
    en: 'The database does not answer (connect ECONNREFUSED 127.0.0.1:…): start it, or correct the scheme, host and port in HUFU_DATABASE_URL',
    zh: '数据库没有应答（connect ECONNREFUSED 127.0.0.1:…）：请启动数据库，或更正 HUFU_DATABASE_URL 里的协议、主机和端口',
    wrong: '127.0.0.1:',
    instead: 'HUFU_DATABASE_URL',
  },
  {
    mistake: 'serve before the database server runs',
    make: async (surroundings, language) =>
      await ofDatabase(`postgres://hufu:${secret}@127.0.0.1:${await freePort()}/hufu`)(
        surroundings,
        language,
      ),
    en: '…The database does not answer (postgres://hufu:***@127.0.0.1:…/hufu: connect ECONNREFUSED 127.0.0.1:…): start it, or correct the scheme, host and port in HUFU_DATABASE_URL',
    zh: '…数据库没有应答（postgres://hufu:***@127.0.0.1:…/hufu：connect ECONNREFUSED 127.0.0.1:…）：请启动数据库，或更正 HUFU_DATABASE_URL 里的协议、主机和端口',
    wrong: 'postgres://hufu:***@127.0.0.1:',
    instead: 'HUFU_DATABASE_URL',
  },
  {
    mistake: 'a wrong password for MariaDB',
    skipped: mariadb.skipped,
    make: ofDatabase(at(mariadb.url, `nobody:${secret}@`, '/hufu')),
    en: "The database refuses the user name or the password in HUFU_DATABASE_URL: correct them, or create the user (Access denied for user 'nobody'…).",
    zh: "数据库拒绝了 HUFU_DATABASE_URL 里的用户名或密码：请更正，或创建这个用户（Access denied for user 'nobody'…）。",
    wrong: "'nobody'",
    instead: 'HUFU_DATABASE_URL',
  },
  {
    mistake: 'a database on MariaDB that nobody has created',
    skipped: mariadb.skipped,
    make: ofDatabase(at(mariadb.url, 'root@', '/hufu_nowhere')),
    en: "The database that HUFU_DATABASE_URL names does not exist: create it as README.md says, with CREATE DATABASE (Unknown database 'hufu_nowhere').",
    zh: "HUFU_DATABASE_URL 指定的数据库不存在：请先用 CREATE DATABASE 创建它，见 README（Unknown database 'hufu_nowhere'）。",
    wrong: 'hufu_nowhere',
    instead: 'CREATE DATABASE',
  },
  {
    mistake: 'a database on PostgreSQL that nobody has created',
    skipped: postgres.skipped,
    make: ofDatabase(at(postgres.url, 'hufu@', '/hufu_nowhere')),
    en: 'The database that HUFU_DATABASE_URL names does not exist: create it as README.md says, with CREATE DATABASE (database "hufu_nowhere" does not exist).',
    zh: 'HUFU_DATABASE_URL 指定的数据库不存在：请先用 CREATE DATABASE 创建它，见 README（database "hufu_nowhere" does not exist）。',
    wrong: 'hufu_nowhere',
    instead: 'CREATE DATABASE',
  },
  {
    mistake: 'TLS asked of a PostgreSQL that has none',
    skipped: postgres.skipped,
    make: ofDatabase(at(postgres.url, 'hufu@', '/postgres?sslmode=require')),
    en: 'HUFU_DATABASE_URL asks for TLS, which did not come about: …sslmode…',
    zh: 'HUFU_DATABASE_URL 要求 TLS，但连接没有建立：…sslmode…',
    wrong: 'HUFU_DATABASE_URL',
    instead: 'sslmode',
  },
  {
    mistake: 'a port on which no Redis answers',
    make: async (surroundings, language) =>
      await redisLine(doctor(`redis://:${secret}@127.0.0.1:${await freePort()}`))(surroundings, language),
    en: '! redis      redis://:***@127.0.0.1:…: connect ECONNREFUSED 127.0.0.1:…; tokens are checked in the database; check HUFU_REDIS_URL, and that Redis is running',
    zh: '! redis      redis://:***@127.0.0.1:…: connect ECONNREFUSED 127.0.0.1:…; 检查令牌会直接读数据库；请检查 HUFU_REDIS_URL，以及 Redis 是否已启动',
    wrong: '127.0.0.1:',
    instead: 'HUFU_REDIS_URL',
  },
  {
    mistake: 'a wrong password for Redis',
    skipped: redis.skipped,
    make: redisLine(doctor(at(redis.url, `hufu:${secret}@`))),
    en: '✗ redis      redis://hufu:***@127.0.0.1:…: WRONGPASS …; Redis refuses what the server needs: check the password in HUFU_REDIS_URL, the rights of its user, and the log of Redis',
    zh: '✗ redis      redis://hufu:***@127.0.0.1:…: WRONGPASS …; Redis 拒绝了服务器需要的命令：请检查 HUFU_REDIS_URL 里的密码、用户的权限和 Redis 的日志',
    wrong: 'redis://hufu:***@127.0.0.1:',
    instead: 'HUFU_REDIS_URL',
  },
  {
    mistake: 'a password for a Redis that has none',
    skipped: redis.skipped,
    make: redisLine(doctor(at(redis.url, `:${secret}@`)), /^[!✗] redis .*HUFU_REDIS_URL/),
    en: '! redis      Redis has no password; remove it from HUFU_REDIS_URL',
    zh: '! redis      Redis 没有设置密码：请从 HUFU_REDIS_URL 里去掉密码',
    wrong: null,
    instead: 'HUFU_REDIS_URL',
  },
  {
    mistake: 'rediss:// to a port of Redis without TLS',
    skipped: redis.skipped,
    make: redisLine(doctor(at(redis.url, '').replace('redis://', 'rediss://'))),
    en: '! redis      rediss://127.0.0.1:…: …; tokens are checked in the database; check HUFU_REDIS_URL, and that Redis is running; if that port does not speak TLS, write redis:// instead of rediss://',
    zh: '! redis      rediss://127.0.0.1:…: …; 检查令牌会直接读数据库；请检查 HUFU_REDIS_URL，以及 Redis 是否已启动；如果这个端口没有 TLS，请写 redis:// 而不是 rediss://',
    wrong: 'rediss://127.0.0.1:',
    instead: 'redis://',
  },
  {
    mistake: 'a clock that is an hour wrong',
    skipped: mariadb.skipped,
    make: async (surroundings, language) => {
      const environment = {
        HUFU_DATABASE_URL: at(mariadb.url, 'root@', '/mysql'),
        NODE_OPTIONS: '--import=data:text/javascript,const%20now=Date.now;Date.now=()=>now()+3600000',
      }
      const said = await command(['doctor'], { environment })(surroundings, language)
      return said.split('\n').find((line) => /^[✓!✗] clock/.test(line)) ?? said
    },
    en: '! clock      the clock of the database is -36… ms from ours; run NTP on every machine, for example: timedatectl set-ntp true',
    zh: '! clock      数据库的时钟与本机相差 -36… 毫秒; 请在每台机器上运行 NTP，例如：timedatectl set-ntp true',
    wrong: '-36',
    instead: 'timedatectl set-ntp true',
  },
]
