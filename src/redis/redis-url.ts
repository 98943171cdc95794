// Parses HUFU_REDIS_URL: one server, a primary behind sentinels, or a cluster.
import { WrongValue } from '../settings/setting.ts'
import { decodedPart, optionParts, plain, shown, splitUrl } from '../url-parts.ts'

/** `host:port`, with brackets around an IPv6 address. */
export type Address = string

interface OneRedis {
  readonly kind: 'one'
  readonly address: Address
  readonly nodes: NodeUrl
}

export interface SentinelRedis {
  readonly kind: 'sentinel'
  /** The name of the primary in the sentinels' configuration. */
  readonly name: string
  readonly sentinels: readonly Address[]
  readonly sentinelUrls: NodeUrl
  readonly nodes: NodeUrl
}

interface ClusterRedis {
  readonly kind: 'cluster'
  /** Some of its nodes, which report the others. */
  readonly seeds: readonly Address[]
  readonly nodes: NodeUrl
}

export type RedisLocation = OneRedis | SentinelRedis | ClusterRedis

/** The parts of a URL that all nodes share: everything but the address. */
interface NodeUrl {
  readonly scheme: string
  /** `user:password@`, percent-encoded, or nothing. */
  readonly login: string
  readonly database: string
}

const wrongForm = () =>
  new WrongValue(
    '必须是 redis://user:password@host:port、redis+sentinel://user:password@host:port,host:port/<主节点的名字> 或 redis+cluster://user:password@host:port,host:port（TLS 用 rediss），不用 Redis 就留空',
    'must be redis://user:password@host:port, redis+sentinel://user:password@host:port,host:port/<name of the primary> or redis+cluster://user:password@host:port,host:port (rediss for TLS), or empty for no Redis',
  )
const defaultPorts = { one: 6379, sentinel: 26_379, cluster: 6379 }
const sentinelOptions = ['db', 'sentinel_user', 'sentinel_password']

/** @throws WrongValue; its text quotes no part of the URL but the name of an option */
export function parseRedisUrl(text: string): RedisLocation {
  const { scheme: form, userinfo, hosts, path, query } = splitUrl(text, wrongForm)
  const [isForm, scheme = '', named] = /^(rediss?)(?:\+(sentinel|cluster))?$/.exec(form) ?? []
  if (!isForm) throw wrongForm()
  const kind = named === 'sentinel' || named === 'cluster' ? named : 'one'
  const addresses = hosts.split(',').map((host) => addressOf(host, defaultPorts[kind]))
  const [address = ''] = addresses
  const nodes = { scheme, login: loginOf(userinfo), database: '' }
  if (kind === 'sentinel') return sentinelPlace(addresses, nodes, path, optionsOf(query, sentinelOptions))
  optionsOf(query, [])
  if (kind === 'cluster') {
    if (path !== '' && path !== '0')
      throw new WrongValue(
        '的“/”后面不能写数据库：Redis Cluster 只有一个',
        'must name no database behind a "/": Redis Cluster has one',
      )
    return { kind, seeds: addresses, nodes }
  }
  if (addresses.length > 1)
    throw new WrongValue(
      '有几个主机：要么以 redis+sentinel:// 开头、以 /<主节点的名字> 结尾，要么以 redis+cluster:// 开头',
      'has several hosts: begin with redis+sentinel:// and end with /<name of the primary>, or begin with redis+cluster://',
    )
  return { kind, address, nodes: { ...nodes, database: databaseOf(path) } }
}

/** Options of other clients after a "?", and their equivalents here. */
const instead: readonly (readonly [name: RegExp, zh: string, en: string])[] = [
  [
    /^(ssl|tls|usessl|usetls|sslmode|sslcertreqs|sslverify|rejectunauthorized)$/,
    'TLS 请写 rediss://，证书一定会被验证',
    'for TLS write rediss://, which always verifies the certificate',
  ],
  [
    /^(sslca|sslcacerts|cafile|ca|sslrootcert)$/,
    '自己的 CA 请用环境变量 NODE_EXTRA_CA_CERTS',
    'name an authority of your own in NODE_EXTRA_CA_CERTS in the environment',
  ],
  [
    /^(user|username|password|auth)$/,
    '请写在主机前面：redis://user:password@host',
    'write it before the host: redis://user:password@host',
  ],
  [/^(db|database)$/, '请写在主机后面：redis://host:6379/1', 'write it behind the host: redis://host:6379/1'],
  [/time?out$|^retry/, '超时由 Hufu 自行设定，请去掉', 'Hufu has its own time limits: leave it out'],
]

function optionsOf(query: string, known: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [rawName, value] = optionParts(pair)
    const name = decodedPart(rawName)
    if (!known.includes(name)) throw unknownOption(name, known)
    if (options.has(name)) throw new WrongValue(`的选项 ${name} 出现了两次`, `has the option ${name} twice`)
    options.set(name, decodedPart(value))
  }
  return options
}

function unknownOption(name: string, known: readonly string[]): WrongValue {
  const near = known.find((one) => plain(one) === plain(name))
  const advice = instead.find(([names]) => names.test(plain(name)))
  const [listZh, listEn] =
    known.length === 0
      ? ['只有 redis+sentinel:// 有选项', 'only redis+sentinel:// takes options']
      : [`支持的有 ${known.join('、')}`, `the known ones are ${known.join(', ')}`]
  return new WrongValue(
    `里有不支持的选项 ${shown(name)}：${near ? `应写作 ${near}` : (advice?.[1] ?? listZh)}`,
    `has the option ${shown(name)}, which cannot be used: ${near ? `write ${near}` : (advice?.[2] ?? listEn)}`,
  )
}

function sentinelPlace(
  sentinels: readonly Address[],
  nodes: NodeUrl,
  path: string,
  options: ReadonlyMap<string, string>,
): SentinelRedis {
  const name = decodedPart(path)
  if (name === '' || name.includes('/')) {
    throw new WrongValue(
      '必须以主节点的名字结尾，和“sentinel monitor”里的一样：redis+sentinel://host:26379,host:26379/mymaster',
      'must end with the name of the primary, as "sentinel monitor" has it: redis+sentinel://host:26379,host:26379/mymaster',
    )
  }
  const [user, password] = [options.get('sentinel_user') ?? '', options.get('sentinel_password') ?? '']
  const login = user + password === '' ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password)}@`
  return {
    kind: 'sentinel',
    name,
    sentinels,
    sentinelUrls: { ...nodes, login },
    nodes: { ...nodes, database: databaseOf(options.get('db') ?? '') },
  }
}

function addressOf(host: string, defaultPort: number): Address {
  const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : null
  // Anything besides a host and a port would change in the URL parser.
  const given = url && /^(.*?)(?::(\d+))?$/.exec(host)
  if (!given || !/^[\w.-]+$|^\[[\da-fA-F:.]+\]$/.test(given[1] ?? '')) throw wrongForm()
  return `${given[1]}:${given[2] ?? defaultPort}`
}

function loginOf(userinfo: string | null): string {
  if (userinfo === null || userinfo === '') return ''
  decodedPart(userinfo)
  // A single word means the password. As a user name without a password, it would be refused and printed.
  if (!userinfo.includes(':'))
    throw new WrongValue(
      '的“@”前面没有“:”：只有密码时请写 redis://:password@host，有用户时写 redis://user:password@host',
      'has no ":" before the "@": write redis://:password@host for a password alone, or redis://user:password@host',
    )
  return `${userinfo}@`
}

function databaseOf(text: string): string {
  if (/^\d*$/.test(text)) return text
  throw new WrongValue('的数据库要用编号表示', 'must name a database by its number')
}

/** The URL of one node, for a client. */
export function urlOf({ scheme, login, database }: NodeUrl, address: Address): string {
  return `${scheme}://${login}${address}/${database}`
}
