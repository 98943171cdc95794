// doctor's checks of Redis: reachable, new enough, writable, and set as a server needs it.
import { redactUrl } from '../redact-url.ts'
import type { Settings } from '../settings/settings.ts'
import { clockFinding } from './doctor-clock.ts'
import type { Finding } from './doctor-finding.ts'
import { redisTlsFinding } from './doctor-tls.ts'
import type { Output } from './output.ts'
import type { RedisFacts } from './redis-facts.ts'
import { shownPrimaries } from './shown-redis.ts'

export async function redisFindings(settings: Settings, output: Output): Promise<Finding[]> {
  const check = 'redis'
  const { url } = settings.redis
  if (url === null) {
    return [
      {
        check,
        status: 'ok',
        text: output.say('未使用（HUFU_REDIS_URL 为空）', 'not used (HUFU_REDIS_URL is empty)'),
      },
    ]
  }
  const where = redactUrl(url)
  try {
    const { probeRedis } = await import('./redis-facts.ts')
    const facts = await probeRedis(url)
    const primaries = shownPrimaries(url, facts.primaries, output)
    const found: Finding = {
      check,
      status: 'ok',
      text: `${where} (${[primaries, facts.version, facts.maxmemoryPolicy].filter(Boolean).join(', ')})`,
    }
    const tls = redisTlsFinding(url, facts.primaries, output)
    const advice = redisAdvice(facts, output)
    // A trial would only repeat the advice that is there already.
    if (advice.length === 0) await (await import('./doctor-trial-redis.ts')).tryRedis(url)
    return [
      found,
      tls,
      ...advice,
      ...passwordAdvice(facts, output),
      clockFinding('redis', facts.clockAheadMs, output),
    ]
  } catch (error) {
    return [await redisFailure(where, error, output)]
  }
}

/** An unreachable Redis may come back; one that refuses what the server needs will keep refusing it. */
async function redisFailure(where: string, error: unknown, output: Output): Promise<Finding> {
  const why = error instanceof Error ? error.message || error.name : String(error)
  const { isRefusal } = await import('../redis/refusal.ts')
  if (isRefusal(error)) {
    const advice = output.say(
      'Redis 拒绝了服务器需要的命令：请检查 HUFU_REDIS_URL 里的密码、用户的权限和 Redis 的日志',
      'Redis refuses what the server needs: check the password in HUFU_REDIS_URL, the rights of its user, and the log of Redis',
    )
    return { check: 'redis', status: 'problem', text: `${where}: ${why}; ${advice}` }
  }
  const advice = output.say(
    '检查令牌会直接读数据库；请检查 HUFU_REDIS_URL，以及 Redis 是否已启动',
    'tokens are checked in the database; check HUFU_REDIS_URL, and that Redis is running',
  )
  // A port without TLS takes the handshake for an unfinished command and waits for its end: it does not
  // answer.
  const tlsAdvice = where.startsWith('rediss')
    ? output.say(
        '；如果这个端口没有 TLS，请写 redis:// 而不是 rediss://',
        '; if that port does not speak TLS, write redis:// instead of rediss://',
      )
    : ''
  return { check: 'redis', status: 'warning', text: `${where}: ${why}; ${advice}${tlsAdvice}` }
}

/** The server works with a password that Redis does not have. */
function passwordAdvice({ needsNoPassword }: RedisFacts, output: Output): Finding[] {
  if (!needsNoPassword) return []
  const text = output.say(
    'Redis 没有设置密码：请从 HUFU_REDIS_URL 里去掉密码',
    'Redis has no password; remove it from HUFU_REDIS_URL',
  )
  return [{ check: 'redis', status: 'warning', text }]
}

function redisAdvice(facts: RedisFacts, output: Output): Finding[] {
  const major = Number(facts.version.split('.')[0])
  const [silent, withoutReplica] = [facts.silentSentinels, facts.withoutReplica].map((addresses) =>
    addresses.join(', '),
  )
  const advice: readonly (readonly [isSo: boolean, zh: string, en: string])[] = [
    [
      major < 6,
      '需要 Redis 6 以上（RESP3 客户端缓存）',
      'Redis 6 or newer is needed (RESP3 client-side caching)',
    ],
    [facts.isReplica, '这是只读副本：请指向主节点', 'this is a replica: point HUFU_REDIS_URL to the primary'],
    [
      facts.isClusterNode,
      '这是集群的一个节点：HUFU_REDIS_URL 请以 redis+cluster:// 开头',
      'this is a node of a cluster: HUFU_REDIS_URL must begin with redis+cluster://',
    ],
    [
      silent !== '',
      `哨兵没有应答，或没有监控这个主节点：${silent}`,
      `sentinels that do not answer, or do not know this primary: ${silent}`,
    ],
    [
      withoutReplica !== '',
      `主节点没有副本，故障时没有节点可以接替：${withoutReplica}`,
      `without a replica, so that none can take over: ${withoutReplica}`,
    ],
    [
      /volatile-(ttl|random)/.test(facts.maxmemoryPolicy),
      'maxmemory-policy 会先淘汰保护标记：请用 noeviction 或 allkeys-lru',
      'maxmemory-policy drops the guarding marks first: use noeviction or allkeys-lru',
    ],
  ]
  return advice
    .filter(([isSo]) => isSo)
    .map(([, zh, en]) => ({ check: 'redis', status: 'warning', text: output.say(zh, en) }))
}
