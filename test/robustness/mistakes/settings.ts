// Mistakes in settings: in the environment, and in .env.
import { spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { command, type Mistake, secret } from './mistake.ts'

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

const serve = (environment: Record<string, string>) => command(['serve'], { environment })

/** A start in a folder of its own with this file `.env`. */
function serveWithFile(content: string | Buffer): Mistake['make'] {
  return async (surroundings, language) => {
    const cwd = mkdtempSync(join(surroundings.folder, 'env-'))
    writeFileSync(join(cwd, '.env'), content)
    return await command(['serve'], { cwd })(surroundings, language)
  }
}

/** A start by a user without write access to ./data. */
const serveWithoutRights: Mistake['make'] = async (_surroundings, language) => {
  // Not in the folder of the run, which its owner alone may enter.
  const cwd = mkdtempSync('/tmp/hufu-rights-')
  mkdirSync(join(cwd, 'data'))
  chmodSync(cwd, 0o755)
  chmodSync(join(cwd, 'data'), 0o555)
  // Root can write everywhere, so another user starts it.
  const isRoot = process.getuid?.() === 0
  if (isRoot) chownSync(join(cwd, 'data'), 0, 0)
  const child = spawn(process.execPath, [main, 'serve'], {
    cwd,
    env: { PATH: process.env.PATH ?? '', LANG: language === 'en' ? 'en_US.UTF-8' : 'zh_CN.UTF-8' },
    ...(isRoot && { uid: 65_534, gid: 65_534 }),
  })
  const said = (await text(child.stderr)).trim()
  rmSync(cwd, { recursive: true })
  return said
}

/** The files of a checkout that npm's scripts need. */
const checkout = fileURLToPath(new URL('../../../src/main.js', import.meta.url))

/** The message of an old Node. It loads nothing else, so it is in both languages. */
const oldNode: Mistake['make'] = async (_surroundings, language) => {
  const script = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' }); await import(${JSON.stringify(checkout)})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  const lines = (await text(child.stderr)).trim().split('\n')
  return lines[language === 'en' ? 0 : 1] ?? ''
}

export const startMistakes: readonly Mistake[] = [
  {
    mistake: 'Node 20',
    make: oldNode,
    en: 'Hufu needs Node.js 24 or newer; this is 20.20.2. Run "npm ci" without --omit=dev, which brings the right one for "npm start", or install it from https://nodejs.org.',
    zh: 'Hufu 需要 Node.js 24 或更新的版本，现在是 20.20.2。请运行不带 --omit=dev 的 npm ci，它会为 npm start 带来合适的版本；或从 https://nodejs.org 安装。',
    wrong: '20.20.2',
    instead: 'npm ci',
  },
  {
    mistake: 'a port that another program has',
    make: async (surroundings, language) =>
      await serve({ HUFU_PORT: new URL(surroundings.server.url).port })(surroundings, language),
    en: 'HUFU_PORT … is in use by another program on 127.0.0.1; stop it or choose another port, for example HUFU_PORT=….',
    zh: 'HUFU_PORT … 在 127.0.0.1 上已被别的程序占用；请停掉它，或者换一个端口，例如 HUFU_PORT=…。',
    wrong: 'HUFU_PORT ',
    instead: 'HUFU_PORT=',
  },
  {
    mistake: 'HUFU_HOST with the port in it',
    make: serve({ HUFU_HOST: 'localhost:5001' }),
    en: 'HUFU_HOST and HUFU_PORT: cannot listen on localhost:5001, port 5001 (ENOTFOUND); write an address alone in HUFU_HOST, for example 127.0.0.1, and the port in HUFU_PORT.',
    zh: 'HUFU_HOST 和 HUFU_PORT：无法在 localhost:5001 的端口 5001 上监听（ENOTFOUND）；请只在 HUFU_HOST 里写地址，例如 127.0.0.1，端口写在 HUFU_PORT 里。',
    wrong: 'localhost:5001',
    instead: '127.0.0.1',
  },
  {
    mistake: 'HUFU_HOST with the address that the world knows, which a router has',
    make: serve({ HUFU_HOST: '192.0.2.1', HUFU_PORT: '0' }),
    en: 'HUFU_HOST 192.0.2.1 is not an address of this machine; write one that is, for example 127.0.0.1, or 0.0.0.0 for all of them.',
    zh: 'HUFU_HOST 192.0.2.1 不是这台机器的地址；请写本机的地址，例如 127.0.0.1，或写 0.0.0.0 使用全部地址。',
    wrong: '192.0.2.1',
    instead: '0.0.0.0',
  },
  {
    mistake: 'a folder ./data that the user may not write to',
    make: serveWithoutRights,
    en: 'HUFU_DATABASE_URL names a file that cannot be used: unable to open database file (…/data/hufu.db). Give the user that runs Hufu write permission on it and its folder, or name another file, for example sqlite:/var/lib/hufu/hufu.db.',
    zh: 'HUFU_DATABASE_URL 指定的文件无法使用：unable to open database file (…/data/hufu.db)。请让运行 Hufu 的用户有权写入它和它所在的文件夹，或指定另一个文件，例如 sqlite:/var/lib/hufu/hufu.db。',
    wrong: '/data/hufu.db',
    instead: 'sqlite:/var/lib/hufu/hufu.db',
  },
]

export const settingMistakes: readonly Mistake[] = [
  {
    mistake: 'HUFU_PROT: a name that is misspelt',
    make: serve({ HUFU_PROT: '8080' }),
    en: 'HUFU_PROT is not a setting of Hufu; is HUFU_PORT meant? All settings: docs/settings.md.',
    zh: 'Hufu 没有 HUFU_PROT 这个设置，是否应为 HUFU_PORT？全部设置见 docs/settings.zh-CN.md。',
    wrong: 'HUFU_PROT',
    instead: 'HUFU_PORT',
  },
  {
    mistake: 'HUFU_DB_URL: a name that is cut short',
    make: serve({ HUFU_DB_URL: `mysql://hufu:${secret}@127.0.0.1/hufu` }),
    en: 'HUFU_DB_URL is not a setting of Hufu; is HUFU_DATABASE_URL meant? All settings: docs/settings.md.',
    zh: 'Hufu 没有 HUFU_DB_URL 这个设置，是否应为 HUFU_DATABASE_URL？全部设置见 docs/settings.zh-CN.md。',
    wrong: 'HUFU_DB_URL',
    instead: 'HUFU_DATABASE_URL',
  },
  {
    mistake: 'HUFU_TLS_CERT: a setting that other servers have',
    make: serve({ HUFU_TLS_CERT: 'cert.pem' }),
    en: 'HUFU_TLS_CERT is not a setting of Hufu; all settings: docs/settings.md.',
    zh: 'Hufu 没有 HUFU_TLS_CERT 这个设置；全部设置见 docs/settings.zh-CN.md。',
    wrong: 'HUFU_TLS_CERT',
    instead: 'docs/settings',
  },
  {
    mistake: 'HUFU_PORT with more than a number',
    make: serve({ HUFU_PORT: '127.0.0.1:8080' }),
    en: 'HUFU_PORT must be a whole number from 0 to 65535 (it is "127.0.0.1:8080").',
    zh: 'HUFU_PORT 必须是 0 到 65535 的整数（收到的是“127.0.0.1:8080”）。',
    wrong: '127.0.0.1:8080',
    instead: '65535',
  },
  {
    mistake: 'HUFU_SMS=aliyun without its keys',
    make: serve({ HUFU_SMS: 'aliyun' }),
    en: 'HUFU_SMS is "aliyun", but HUFU_SMS_ALIYUN_ACCESS_KEY_ID is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
    zh: 'HUFU_SMS 是“aliyun”，但没有设置 HUFU_SMS_ALIYUN_ACCESS_KEY_ID：请按 docs/sms.zh-CN.md 设置；开发时可用 HUFU_SMS=console。',
    wrong: 'aliyun',
    instead: 'HUFU_SMS_ALIYUN_ACCESS_KEY_ID',
  },
  {
    mistake: 'HUFU_WORKERS on SQLite alone',
    make: serve({ HUFU_WORKERS: '4' }),
    en: 'HUFU_WORKERS is 4, but on SQLite without HUFU_REDIS_URL … set HUFU_REDIS_URL, or use MySQL, MariaDB or PostgreSQL.',
    zh: 'HUFU_WORKERS 是 4，但在 SQLite 上没有 HUFU_REDIS_URL …请设置 HUFU_REDIS_URL，或改用 MySQL、MariaDB 或 PostgreSQL。',
    wrong: 'HUFU_WORKERS',
    instead: 'HUFU_REDIS_URL',
  },
  {
    mistake: 'HUFU_TRUSTED_PROXIES with the name of a container',
    make: serve({ HUFU_TRUSTED_PROXIES: 'nginx' }),
    en: 'HUFU_TRUSTED_PROXIES must be addresses or CIDR blocks with commas between them, for example 10.0.0.5,10.1.0.0/16,fd00::/8, or empty for no proxy (it is "nginx").',
    zh: 'HUFU_TRUSTED_PROXIES 必须是用逗号隔开的地址或 CIDR 网段，例如 10.0.0.5,10.1.0.0/16,fd00::/8；没有代理就留空（收到的是“nginx”）。',
    wrong: 'nginx',
    instead: '10.1.0.0/16',
  },
  {
    mistake: 'a line of .env as in YAML',
    make: serveWithFile(`HUFU_SECRET: ${secret}\n`),
    en: 'Line 1 of .env: there is no "=" after HUFU_SECRET; write HUFU_SECRET=value.',
    zh: '.env 第 1 行：HUFU_SECRET 后面没有“=”，应写作 HUFU_SECRET=值。',
    wrong: 'HUFU_SECRET',
    instead: 'HUFU_SECRET=',
  },
  {
    mistake: 'a quote in .env that is not closed',
    make: serveWithFile(`HUFU_SECRET="${secret}\nHUFU_PORT=5002\n`),
    en: 'Line 1 of .env: the quote that begins the value of HUFU_SECRET is not closed; write HUFU_SECRET="value".',
    zh: '.env 第 1 行：HUFU_SECRET 的引号没有闭合，应写作 HUFU_SECRET="值"。',
    wrong: 'HUFU_SECRET',
    instead: 'HUFU_SECRET="',
  },
  {
    mistake: '.env saved as UTF-16 by an editor on Windows',
    make: serveWithFile(Buffer.from(`\uFEFFHUFU_SECRET=${secret}\r\n`, 'utf16le')),
    en: '.env is UTF-16 or binary: save it as UTF-8.',
    zh: '.env 是 UTF-16 或二进制文件：请另存为 UTF-8。',
    wrong: '.env',
    instead: 'UTF-8',
  },
  {
    mistake: 'HUFU_DATABASE_URL with a scheme that is misspelt',
    make: serve({ HUFU_DATABASE_URL: `mysq://hufu:${secret}@127.0.0.1:3306/hufu` }),
    en: 'HUFU_DATABASE_URL must begin with mysql:// and not with mysq://.',
    zh: 'HUFU_DATABASE_URL 必须以 mysql:// 开头，而不是 mysq://。',
    wrong: 'mysq://',
    instead: 'mysql://',
  },
  {
    mistake: "HUFU_DATABASE_URL as the tutorial's SQLAlchemy writes it",
    make: serve({ HUFU_DATABASE_URL: `mysql+pymysql://hufu:${secret}@127.0.0.1:3306/hufu` }),
    en: 'HUFU_DATABASE_URL must begin with mysql:// and not with mysql+pymysql://.',
    zh: 'HUFU_DATABASE_URL 必须以 mysql:// 开头，而不是 mysql+pymysql://。',
    wrong: 'mysql+pymysql://',
    instead: 'mysql://',
  },
  {
    mistake: 'HUFU_DATABASE_URL with a path alone',
    make: serve({ HUFU_DATABASE_URL: './data/hufu.db' }),
    en: 'HUFU_DATABASE_URL must be sqlite:<path>, mysql://user:password@host:port/database or postgres://user:password@host:port/database.',
    zh: 'HUFU_DATABASE_URL 必须是 sqlite:<路径>、mysql://user:password@host:port/database 或 postgres://user:password@host:port/database。',
    wrong: 'HUFU_DATABASE_URL',
    instead: 'sqlite:<',
  },
  {
    mistake: 'HUFU_DATABASE_URL with an @ in the password',
    make: serve({ HUFU_DATABASE_URL: `mysql://hufu:p@${secret}@127.0.0.1:3306/hufu` }),
    en: 'HUFU_DATABASE_URL has special characters in its user name or password: percent-encode them, "@" as %40, "/" as %2F, "?" as %3F, "#" as %23.',
    zh: 'HUFU_DATABASE_URL 的用户名或密码里有 @、/、?、# 等特殊字符：请用百分号编码，例如 @ 写成 %40，/ 写成 %2F，? 写成 %3F，# 写成 %23。',
    wrong: '@',
    instead: '%40',
  },
  {
    mistake: 'HUFU_REDIS_URL without redis://',
    make: serve({ HUFU_REDIS_URL: `:${secret}@127.0.0.1:6379` }),
    en: 'HUFU_REDIS_URL must be redis://user:password@host:port, … or empty for no Redis.',
    zh: 'HUFU_REDIS_URL 必须是 redis://user:password@host:port、…不用 Redis 就留空。',
    wrong: 'HUFU_REDIS_URL',
    instead: 'redis://user:password@host:port',
  },
]
