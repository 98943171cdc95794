// Parses HUFU_DATABASE_URL: a file, or a server with its login, TLS and options.
import { isAbsolute, resolve } from 'node:path'
import { nearestWord } from '../nearest-word.ts'
import { WrongValue } from '../settings/setting.ts'
import { decodedPart, isLoopback, optionParts, plain, shown, splitUrl } from '../url-parts.ts'
import { type DatabaseTls, databaseTls, type TlsOptions, tlsOptionOf } from './database-url-tls.ts'

export type DatabaseKind = 'sqlite' | 'mysql' | 'postgres'

interface DatabaseFile {
  readonly kind: 'sqlite'
  readonly path: string
}

export interface DatabaseAddress {
  readonly host: string
  readonly port: number
}

export interface DatabaseServer {
  readonly kind: 'mysql' | 'postgres'
  /** In the order of the URL. One of them is the primary. */
  readonly addresses: readonly [DatabaseAddress, ...DatabaseAddress[]]
  readonly user: string | null
  readonly password: string | null
  /** null only on PostgreSQL, where the user's name is the default. */
  readonly database: string | null
  /** The path of a Unix socket (MySQL) or of its folder (PostgreSQL); null: TCP. */
  readonly socket: string | null
  /** null: plaintext. */
  readonly tls: DatabaseTls | null
  /** PostgreSQL only: the startup parameter `options`, as libpq sends it. */
  readonly options: string | null
  readonly applicationName: string | null
}

export type DatabaseLocation = DatabaseFile | DatabaseServer

/** The kind of database that a URL names, or null where Hufu does not support it. */
export function databaseKind(url: string): DatabaseKind | null {
  if (/^sqlite:./.test(url)) return 'sqlite'
  if (/^(mysql|mariadb):\/\/./.test(url)) return 'mysql'
  if (/^postgres(ql)?:\/\/./.test(url)) return 'postgres'
  return null
}

/** @throws WrongValue; its text quotes no part of the URL but the name of an option */
export function parseDatabaseUrl(url: string): DatabaseLocation {
  const kind = databaseKind(url)
  if (kind === null) throw wrongForm(url)
  return kind === 'sqlite' ? filePlace(url.slice('sqlite:'.length)) : serverPlace(kind, url)
}

const schemes = ['sqlite', 'mysql', 'mariadb', 'postgres', 'postgresql'] as const

function wrongForm(url: string): WrongValue {
  // The prefixes of other programs: SQLAlchemy adds its driver, JDBC its own name.
  const [, jdbc = '', scheme, driver = ''] =
    /^(jdbc:)?(mysql|mariadb|postgres(?:ql)?)(\+\w{1,20})?:\/\//.exec(url) ?? []
  if (scheme !== undefined && jdbc + driver !== '')
    throw new WrongValue(
      `必须以 ${scheme}:// 开头，而不是 ${jdbc}${scheme}${driver}://`,
      `must begin with ${scheme}:// and not with ${jdbc}${scheme}${driver}://`,
    )
  const [, written = ''] = /^([a-z+]{1,20}):/i.exec(url) ?? []
  const meant = nearestWord(written.toLowerCase(), schemes)
  if (meant !== undefined && meant !== written) {
    const slashes = meant === 'sqlite' ? '' : '//'
    throw new WrongValue(
      `必须以 ${meant}:${slashes} 开头，而不是 ${written}:${slashes}`,
      `must begin with ${meant}:${slashes} and not with ${written}:${slashes}`,
    )
  }
  return new WrongValue(
    '必须是 sqlite:<路径>、mysql://user:password@host:port/database 或 postgres://user:password@host:port/database',
    'must be sqlite:<path>, mysql://user:password@host:port/database or postgres://user:password@host:port/database',
  )
}

function filePlace(path: string): DatabaseFile {
  if (/^:memory:|^file:.*memory/.test(path))
    throw new WrongValue(
      '必须指定一个文件：只在内存里的数据一停机就会丢失',
      'must name a file: what is only in memory would be lost at every stop',
    )
  if (/^\/\/|^~|^file:/.test(path))
    throw new WrongValue(
      '里 sqlite: 后面直接写路径：sqlite:./data/hufu.db 或 sqlite:/var/lib/hufu/hufu.db',
      'must have the path right behind sqlite: as in sqlite:./data/hufu.db or sqlite:/var/lib/hufu/hufu.db',
    )
  if (path.includes('?'))
    throw new WrongValue(
      '的 sqlite: 后面只有路径，没有“?”选项',
      'must have no options: sqlite: takes a path alone',
    )
  return { kind: 'sqlite', path: resolve(path) }
}

function serverPlace(kind: 'mysql' | 'postgres', url: string): DatabaseServer {
  const { userinfo, hosts, path, query } = splitUrl(url, () => wrongForm(url))
  const database = decodedPart(path)
  const options = readOptions(kind, query)
  const addresses = addressesOf(kind, hosts, options.socket !== null)
  if (addresses === null) throw wrongForm(url)
  // PostgreSQL has a default database for each user; MySQL has none.
  if ((database === '' && kind === 'mysql') || database.includes('/')) throw wrongForm(url)
  return {
    kind,
    addresses,
    ...loginOf(userinfo),
    database: database || null,
    socket: options.socket,
    tls: databaseTls(options.tls),
    options: options.options,
    applicationName: options.applicationName,
  }
}

const defaultPorts = { mysql: 3306, postgres: 5432 } as const
const mostHosts = 8

/**
 * Each host with its port, or with the default port. Null where one is not in the right form.
 * @throws WrongValue for a list that cannot be meant
 */
function addressesOf(
  kind: 'mysql' | 'postgres',
  hosts: string,
  hasSocket: boolean,
): DatabaseServer['addresses'] | null {
  const listed = hosts.split(',')
  if (listed.length > 1 && hasSocket)
    throw new WrongValue(
      '里有多个主机，又有 Unix 套接字：请只写一种',
      'has several hosts and a Unix socket: write one of the two',
    )
  const addresses = listed.map((text): DatabaseAddress | null => {
    const found = /^([\w.-]+|\[[\da-fA-F:.]+\]|)(?::(\d{1,5}))?$/.exec(text)
    const [, host = '', port = defaultPorts[kind]] = found ?? []
    if (!found || (host === '' && !hasSocket) || Number(port) > 65_535) return null
    return { host: host.replace(/^\[|\]$/g, '') || 'localhost', port: Number(port) }
  })
  const [first, ...others] = addresses.filter((address) => address !== null)
  if (first === undefined || others.length + 1 < listed.length) return null
  assertDistinct([first, ...others])
  return [first, ...others]
}

function assertDistinct(addresses: readonly DatabaseAddress[]): void {
  if (addresses.length > mostHosts)
    throw new WrongValue(`最多可以写 ${mostHosts} 个主机`, `may name ${mostHosts} hosts at most`)
  const names = addresses.map(({ host, port }) => `${host.toLowerCase()} ${port}`)
  if (new Set(names).size < names.length)
    throw new WrongValue('里有两个相同的主机和端口', 'names the same host and port twice')
}

/** An empty user means no user; an empty password is a password. */
function loginOf(userinfo: string | null): Pick<DatabaseServer, 'user' | 'password'> {
  const [, user = '', , password = null] = /^([^:]*)(:(.*))?$/s.exec(userinfo ?? '') ?? []
  return { user: decodedPart(user) || null, password: password === null ? null : decodedPart(password) }
}

interface ServerOptions {
  socket: string | null
  options: string | null
  applicationName: string | null
  tls: TlsOptions
}

function readOptions(kind: 'mysql' | 'postgres', query: string): ServerOptions {
  const options: ServerOptions = {
    socket: null,
    options: null,
    applicationName: null,
    tls: { mode: null, authority: null, certificate: null, key: null, needsProof: false, direct: false },
  }
  const seen = new Set<string>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [rawName, rawValue] = optionParts(pair)
    const name = decodedPart(rawName)
    // "+" is a plus, as in libpq and unlike in a browser's query.
    const value = decodedPart(rawValue)
    if (seen.has(plain(name)))
      throw new WrongValue(`的选项 ${shown(name)} 出现了两次`, `has the option ${shown(name)} twice`)
    seen.add(plain(name))
    if (!readOption(kind, options, name, value)) throw unknownOption(kind, name)
  }
  return options
}

/** Whether the option is known. */
function readOption(
  kind: 'mysql' | 'postgres',
  options: ServerOptions,
  name: string,
  value: string,
): boolean {
  const key = plain(name)
  if (tlsOptionOf(kind, options.tls, key, name, value)) return true
  if (isWhatWeDo(kind, key, value)) return true
  if (kind === 'mysql' && ['socket', 'socketpath', 'unixsocket'].includes(key)) {
    options.socket = absolute(name, value)
    return true
  }
  if (kind === 'postgres' && key === 'host') options.socket = absolute(name, value)
  else if (kind === 'postgres' && key === 'options') options.options = value
  else if (kind === 'postgres' && key === 'applicationname') options.applicationName = value
  else return false
  return true
}

/** Options that consoles and tutorials write, and that Hufu applies anyway: UTF-8, and a primary. */
function isWhatWeDo(kind: 'mysql' | 'postgres', key: string, value: string): boolean {
  const word = value.toLowerCase().replaceAll(/[-_]/g, '')
  if (['charset', 'characterencoding', 'clientencoding', 'encoding'].includes(key))
    return word === 'utf8' || word === 'utf8mb4'
  if (key === 'useunicode' || key === 'uselibpqcompat') return word === 'true'
  return kind === 'postgres' && key === 'targetsessionattrs' && /^(any|primary|readwrite)$/.test(word)
}

function absolute(name: string, value: string): string {
  if (isAbsolute(value)) return value
  throw new WrongValue(
    `的选项 ${shown(name)} 必须是 Unix 套接字的绝对路径`,
    `has the option ${shown(name)}, which must be the absolute path of a Unix socket`,
  )
}

const supported = {
  mysql: ['ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'socket', 'charset'],
  postgres: [
    'sslmode',
    'sslrootcert',
    'sslcert',
    'sslkey',
    'sslnegotiation',
    'channel_binding',
    'application_name',
    'options',
    'host',
    'target_session_attrs',
    'client_encoding',
  ],
}

/** Options of other programs, and their equivalents here. */
const instead: readonly (readonly [name: RegExp, zh: string, en: string])[] = [
  [
    /^(connectionlimit|poolsize|poolmaxsize|maxpoolsize|poolmax|max|maxconnections)$/,
    '连接数请用 HUFU_DATABASE_POOL 设置',
    'set HUFU_DATABASE_POOL instead',
  ],
  [/time?out$/, '超时由 Hufu 自行设定，请去掉', 'Hufu has its own time limits: leave it out'],
  [
    /^(schema|currentschema|searchpath)$/,
    '请写 options=-c%20search_path%3D<模式>',
    'write options=-c%20search_path%3D<schema>',
  ],
  [
    /^(pgbouncer|preparethreshold|statementcachesize|preparedstatements)$/,
    '请直接连接数据库，或使用会话模式的连接池，并去掉它',
    'connect directly or through a pool in session mode, and leave it out',
  ],
  [/^(user|username|password|passwd|port|dbname|database)$/, '请写在“?”前面', 'write it before the "?"'],
  [/^targetsessionattrs$/, 'Hufu 需要主库：请写 read-write', 'Hufu needs the primary: write read-write'],
  [
    /^(charset|characterencoding|clientencoding|encoding|useunicode)$/,
    'Hufu 使用 UTF-8：请去掉',
    'Hufu speaks UTF-8: leave it out',
  ],
]

function unknownOption(kind: 'mysql' | 'postgres', name: string): WrongValue {
  const key = plain(name)
  const advice = instead.find(([known]) => known.test(key))
  const meant = nearestWord(key, supported[kind].map(plain))
  const near = supported[kind].find((known) => plain(known) === meant)
  const list = supported[kind].join(', ')
  const zh = advice?.[1] ?? (near ? `应写作 ${near}` : `支持的有 ${list}`)
  const en = advice?.[2] ?? (near ? `write ${near}` : `the known ones are ${list}`)
  return new WrongValue(
    `里有不支持的选项 ${shown(name)}：${zh}`,
    `has the option ${shown(name)}, which cannot be used: ${en}`,
  )
}

/** Whether traffic to the server stays on this machine. */
export function isOnThisMachine({
  addresses,
  socket,
}: Pick<DatabaseServer, 'addresses' | 'socket'>): boolean {
  return socket !== null || addresses.every(({ host }) => isLoopback(host))
}
