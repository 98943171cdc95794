// hufu keys: create, list, rotate, revoke, events.
import { noOrigin } from '../events/events.ts'
import { isoTime } from '../iso-time.ts'
import { parseNetwork } from '../service-keys/networks.ts'
import { type KeyScope, keyScopes, keyStateAt, type ServiceKey } from '../service-keys/service-key.ts'
import type { IssuedKey } from '../service-keys/service-keys.ts'
import { assertPlainText } from './accounts.ts'
import type { Context } from './context.ts'
import { describeEvent, eventLine } from './events.ts'
import { parseGivenTime, parsePeriod } from './given-time.ts'
import { exitCodes, localTime, type Output, UsageError } from './output.ts'
import { withServices } from './with-services.ts'

interface CreateOptions {
  readonly name?: string
  readonly scope?: string
  readonly network?: string
  readonly expires?: string
}

const nameMax = 64
const networksMax = 20
const keepMaxMs = 30 * 86_400_000
const byOperator = { by: null, origin: noOrigin }

/** `keys create` */
export async function createKey(context: Context, options: CreateOptions): Promise<number> {
  const { output } = context
  const { name = '', scope = '', network, expires } = options
  if (name === '')
    throw new UsageError(output.say('缺少 --name <名称>。', 'Name the program: --name <name>.'))
  assertPlainText('--name', name, nameMax, output)
  const key = {
    name,
    scopes: parseScopes(scope, output),
    networks: network === undefined ? [] : parseNetworks(network, output),
    expiresAt: expires === undefined ? null : parseExpiry(expires, output),
  }
  return await withServices(context, async ({ keys }) => {
    printIssued(await keys.create(key, byOperator), output)
    return exitCodes.done
  })
}

/** `keys list` */
export async function listKeys(context: Context): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ keys, clock }) => {
    const all = await keys.list()
    for (const key of all) {
      output.line(keyLine(key, clock.now()))
      output.value(describeKey(key, clock.now()))
    }
    if (all.length === 0) output.line(output.say('没有服务密钥。', 'No service key.'))
    return exitCodes.done
  })
}

/** `keys rotate <id>` */
export async function rotateKey(context: Context, id: string, { keep }: { keep: string }): Promise<number> {
  const { output } = context
  const keepMs = parsePeriod(keep)
  if (keepMs === null || keepMs > keepMaxMs)
    throw new UsageError(
      output.say(
        `--keep 必须是 30m、24h、7d 这样的时长，最长 30d；0 表示立即失效（现在是“${keep}”）。`,
        `--keep must be a period such as 30m, 24h or 7d, at most 30d; 0 ends the present secret now (it is "${keep}").`,
      ),
    )
  return await withServices(context, async ({ keys }) => {
    const issued = await keys.rotate(id, keepMs, byOperator)
    printIssued(issued, output)
    const { previousUntil } = issued.key
    output.line(
      previousUntil === null
        ? output.say('旧密钥已在所有服务器上失效。', 'The old secret is no longer valid, on every server.')
        : output.say(
            `旧密钥在 ${localTime(previousUntil)} 之前仍然有效。`,
            `The old secret stays valid until ${localTime(previousUntil)}.`,
          ),
    )
    return exitCodes.done
  })
}

/** `keys revoke <id>` */
export async function revokeKey(context: Context, id: string): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ keys }) => {
    const wasLive = await keys.revoke(id, byOperator)
    output.value({ id, revoked: wasLive })
    output.line(
      wasLive
        ? output.say('已吊销，所有服务器立即生效。', 'Revoked, on every server.')
        : output.say('这个密钥此前已吊销。', 'This key had already been revoked.'),
    )
    return exitCodes.done
  })
}

/** `keys events <id>` */
export async function listKeyEvents(context: Context, id: string): Promise<number> {
  const { output } = context
  return await withServices(context, async ({ keys }) => {
    for await (const event of keys.listEvents(id)) {
      output.line(eventLine(event))
      const { at, kind, ip, detail } = describeEvent(event)
      output.value({ at, kind, key_id: id, ip, detail })
      await output.drained()
    }
    return exitCodes.done
  })
}

/** @throws UsageError */
function parseScopes(text: string, output: Output): KeyScope[] {
  const words = wordsOf(text)
  const known = keyScopes.filter((scope) => words.includes(scope))
  if (words.length > 0 && words.every((word) => known.some((scope) => scope === word))) return known
  throw new UsageError(
    output.say(
      `--scope 必须是用逗号隔开的权限：${keyScopes.join('、')}（现在是“${text}”）。`,
      `--scope must be scopes with commas between them: ${keyScopes.join(', ')} (it is "${text}").`,
    ),
  )
}

/** @throws UsageError */
function parseNetworks(text: string, output: Output): string[] {
  const words = wordsOf(text)
  const networks = words.map(parseNetwork).filter((network) => network !== null)
  const isGood = networks.length === words.length && words.length > 0 && words.length <= networksMax
  if (isGood) return [...new Set(networks)]
  throw new UsageError(
    output.say(
      `--network 必须是用逗号隔开的地址或 CIDR 网段，最多 ${networksMax} 个，例如 10.0.0.5,10.1.0.0/16,fd00::/8（现在是“${text}”）。`,
      `--network must be addresses or CIDR blocks with commas between them, at most ${networksMax}, for example 10.0.0.5,10.1.0.0/16,fd00::/8 (it is "${text}").`,
    ),
  )
}

/** @throws UsageError */
function parseExpiry(text: string, output: Output): number {
  const now = Date.now()
  const period = parsePeriod(text)
  const at = period === null ? parseGivenTime(text, 'end') : now + period
  if (at !== null && at > now) return at
  throw new UsageError(
    output.say(
      `--expires 必须是 90d 这样的时长，或将来的日期或时间，例如 2027-01-31 或 2027-01-31T12:00:00+08:00（现在是“${text}”）。`,
      `--expires must be a period such as 90d, or a day or a moment to come, for example 2027-01-31 or 2027-01-31T12:00:00+08:00 (it is "${text}").`,
    ),
  )
}

function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split(',').map((word) => word.trim())
}

/** The only place that shows the text of a key. */
function printIssued({ key, text }: IssuedKey, output: Output): void {
  output.value({ ...describeKey(key, key.rotatedAt ?? key.createdAt), key: text })
  output.line(
    output.say(
      `服务密钥 ${key.name}（id ${key.id}）。密钥只显示这一次，请妥善保存：`,
      `Service key ${key.name} (id ${key.id}). It is shown this once; keep it in a safe place:`,
    ),
  )
  output.line(text)
}

/** A key for programs, without its secret. */
function describeKey(key: ServiceKey, now: number) {
  return {
    id: key.id,
    name: key.name,
    state: keyStateAt(key, now),
    scopes: key.scopes,
    networks: key.networks,
    created_at: isoTime(key.createdAt),
    created_by: key.createdBy,
    expires_at: isoTime(key.expiresAt),
    rotated_at: isoTime(key.rotatedAt),
    previous_until: isoTime(key.previousUntil),
    revoked_at: isoTime(key.revokedAt),
    last_used_at: isoTime(key.lastUsedAt),
  }
}

/** A key as one line for people. */
function keyLine(key: ServiceKey, now: number): string {
  const state = keyStateAt(key, now).padEnd(7)
  const times = `${localTime(key.createdAt)}  → ${localTime(key.expiresAt).padEnd(19)}  ${localTime(key.lastUsedAt).padEnd(19)}`
  return `${key.id}  ${state}  ${times}  ${key.scopes.join(',')}  ${key.networks.join(',') || '-'}  ${key.name}`
}
