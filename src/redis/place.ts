// Where Redis is, as HUFU_REDIS_URL says: one server, a primary that sentinels name, or a cluster.
import { WrongValue } from '../setting.ts'

/** `host:port`, with brackets around an IPv6 address. */
export type Address = string

export interface OneRedis {
  readonly kind: 'one'
  readonly address: Address
  readonly nodes: NodeUrl
}

export interface SentinelRedis {
  readonly kind: 'sentinel'
  /** The name that the sentinels know the primary by. */
  readonly name: string
  readonly sentinels: readonly Address[]
  readonly sentinelUrls: NodeUrl
  readonly nodes: NodeUrl
}

export interface ClusterRedis {
  readonly kind: 'cluster'
  /** Some of its nodes; they know the others. */
  readonly seeds: readonly Address[]
  readonly nodes: NodeUrl
}

export type RedisPlace = OneRedis | SentinelRedis | ClusterRedis

/** What all nodes have in common: their URLs without the address. */
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

/** @throws WrongValue */
export function redisPlace(text: string): RedisPlace {
  const found =
    /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/
  const [isForm, scheme = '', named, login = '', hosts = '', path = '', query = ''] = found.exec(text) ?? []
  if (!isForm) throw wrongForm()
  const kind = named === 'sentinel' || named === 'cluster' ? named : 'one'
  const addresses = hosts.split(',').map((host) => addressOf(host, defaultPorts[kind]))
  const [address = ''] = addresses
  const nodes = { scheme, login: loginOf(login), database: '' }
  if (kind === 'sentinel') return sentinelPlace(addresses, nodes, path, new URLSearchParams(query))
  if (query !== '')
    throw new WrongValue(
      '的“?”后面不能有东西：只有 redis+sentinel:// 有选项',
      'must have nothing behind a "?": only redis+sentinel:// takes options',
    )
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

function sentinelPlace(
  sentinels: readonly Address[],
  nodes: NodeUrl,
  path: string,
  options: URLSearchParams,
): SentinelRedis {
  const name = decoded(path)
  if (name === '' || name.includes('/')) {
    throw new WrongValue(
      '必须以主节点的名字结尾，和“sentinel monitor”里的一样：redis+sentinel://host:26379,host:26379/mymaster',
      'must end with the name of the primary, as "sentinel monitor" has it: redis+sentinel://host:26379,host:26379/mymaster',
    )
  }
  for (const key of options.keys())
    if (!sentinelOptions.includes(key))
      throw new WrongValue(
        `的“?”后面只能有 ${sentinelOptions.join('、')}`,
        `must have nothing behind a "?" but ${sentinelOptions.join(', ')}`,
      )
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
  // What is more than a host and a port would come back as something else.
  const given = url && /^(.*?)(?::(\d+))?$/.exec(host)
  if (!given || !/^[\w.-]+$|^\[[\da-fA-F:.]+\]$/.test(given[1] ?? '')) throw wrongForm()
  return `${given[1]}:${given[2] ?? defaultPort}`
}

function loginOf(login: string): string {
  decoded(login)
  return login === '' ? '' : `${login}@`
}

function databaseOf(text: string): string {
  if (/^\d*$/.test(text)) return text
  throw new WrongValue('的数据库要用编号表示', 'must name a database by its number')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new WrongValue(
      '里有一个“%”后面不是两位十六进制数字：请写成 %25',
      'has a "%" with no two hexadecimal digits behind it: write it as %25',
    )
  }
}

/** The URL of one node, for a client. */
export function urlOf({ scheme, login, database }: NodeUrl, address: Address): string {
  return `${scheme}://${login}${address}/${database}`
}
