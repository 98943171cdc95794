// How the start message and doctor show where Redis is.
import { redactUrl } from '../redact-url.ts'
import type { RedisReport } from '../redis/connections.ts'
import { type Address, parseRedisUrl } from '../redis/redis-url.ts'
import type { Output } from './output.ts'

/**
 * For the start message: where Redis is, which primary is in use now, and whether it answers, as the session
 * cache last reported; null: it has not reported yet.
 */
export function shownRedis(url: string, report: RedisReport | null, output: Output): string {
  const where = redactUrl(url)
  const more = shownReport(url, report, output)
  return more === null ? where : output.say(`${where}（${more}）`, `${where} (${more})`)
}

function shownReport(url: string, report: RedisReport | null, output: Output): string | null {
  switch (report?.state) {
    case 'ok':
      return shownPrimaries(url, report.primaries, output)
    case 'refused':
      return output.say('拒绝访问', 'refuses access')
    default:
      return output.say('没有应答', 'does not answer')
  }
}

/** null where the setting already names the primary. */
export function shownPrimaries(url: string, primaries: readonly Address[], output: Output): string | null {
  const { kind } = parseRedisUrl(url)
  if (kind === 'one') return null
  if (kind === 'sentinel') return output.say(`主节点 ${primaries[0]}`, `primary ${primaries[0]}`)
  return output.say(`${primaries.length} 个主节点`, `${primaries.length} primaries`)
}
