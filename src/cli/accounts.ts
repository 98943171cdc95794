// hufu accounts: add, list, show, unlock.
import { password as askPassword, text as askText, isCancel } from '@clack/prompts'
import type { Account } from '../accounts/accounts.ts'
import { AppError } from '../errors.ts'
import { plainTextWords } from '../http/field-words.ts'
import { isoTime } from '../iso-time.ts'
import { accountStateAt } from '../sessions/account-state.ts'
import { isPlainText } from '../typed-text.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { parseGivenTime } from './given-time.ts'
import { exitCodes, localTime, type Output, UsageError } from './output.ts'
import { describeSession, sessionLine } from './sessions.ts'
import { withServices } from './with-services.ts'

interface BanOptions {
  readonly until?: string
  readonly reason?: string
}

interface AddOptions {
  readonly nickname?: string
  readonly passwordStdin?: boolean
  readonly allowWeakPassword?: boolean
  readonly verified?: boolean
}

const nicknameMax = 64
const reasonMax = 255

/** `accounts add <phone>` */
export async function addAccount(context: Context, phone: string, options: AddOptions): Promise<number> {
  const { output } = context
  const isPerson = process.stdin.isTTY && !options.passwordStdin
  const nickname = options.nickname ?? (isPerson ? await askForNickname(output) : null)
  if (nickname !== null) assertPlainText('--nickname', nickname, nicknameMax, output)
  const password = isPerson ? await askForPassword(output) : await readPassword(output, phone, options)
  const allowWeakPassword = options.allowWeakPassword ?? false
  const account = await withServices(context, ({ accounts }) =>
    accounts.create({
      phoneNumber: phone,
      nickname,
      password,
      allowWeakPassword,
      isVerified: options.verified ?? false,
    }),
  )
  output.line(output.say(`已创建账号 ${account.phoneNumber}`, `Account created: ${account.phoneNumber}`))
  output.value(describe(account))
  return exitCodes.done
}

/**
 * The rule of the API for names.
 * @throws UsageError
 */
export function assertPlainText(option: string, text: string, max: number, output: Output): void {
  const { length } = [...text]
  if (length > max) {
    throw new UsageError(
      output.say(
        `${option} 最多 ${max} 个字符，现在有 ${length} 个：请缩短。`,
        `${option} takes ${max} characters at most, and this has ${length}: shorten it.`,
      ),
    )
  }
  if (!isPlainText(text))
    throw new UsageError(
      output.say(`${option} ${plainTextWords['zh-CN']}。`, `${option} must be ${plainTextWords.en}.`),
    )
}

/** `accounts list`: streamed, so that memory does not grow with the number of accounts. */
export async function listAccounts(context: Context): Promise<number> {
  const { output } = context
  await withServices(context, async ({ accounts }) => {
    for await (const account of accounts.list()) {
      output.line(accountLine(account))
      output.value(describe(account))
      await output.drained()
    }
  })
  return exitCodes.done
}

/** `accounts show <phone>` */
export async function showAccount(context: Context, phone: string): Promise<number> {
  const { output } = context
  await withServices(context, async ({ accounts, sessions }) => {
    const account = await accounts.get(phone)
    const live = await sessions.list(account.id)
    output.value({ ...describe(account), app_online: live.length > 0, sessions: live.map(describeSession) })
    output.line(`phone_number   ${account.phoneNumber ?? '-'}`)
    output.line(`nickname       ${account.nickname ?? '-'}`)
    output.line(`id             ${account.id}`)
    const state = accountStateAt(account, Date.now())
    output.line(`state          ${state}`)
    if (state === 'banned') {
      output.line(`banned_until   ${localTime(account.ban?.until ?? null)}`)
      output.line(`ban_reason     ${account.banReason ?? '-'}`)
    }
    if (account.closesAt !== null) output.line(`closes_at      ${localTime(account.closesAt)}`)
    output.line(`password       ${account.hasPassword ? output.say('有', 'yes') : output.say('无', 'no')}`)
    output.line(`registered_at  ${localTime(account.registeredAt)}`)
    output.line(`app_online     ${live.length > 0}`)
    for (const session of live) output.line(`session        ${sessionLine(session)}`)
  })
  return exitCodes.done
}

/** `accounts ban <phone>`: its sessions are dead on every server when this returns. */
export async function banAccount(context: Context, phone: string, options: BanOptions): Promise<number> {
  const { output } = context
  const until = options.until === undefined ? null : parseEnd(options.until, output)
  const reason = options.reason ?? null
  if (reason !== null) assertPlainText('--reason', reason, reasonMax, output)
  const account = await withServices(context, async ({ accounts, lifecycle }) =>
    lifecycle.ban((await accounts.get(phone)).id, { until, reason }),
  )
  const end = until === null ? output.say('永久', 'for ever') : localTime(until)
  const name = account.phoneNumber ?? account.id
  output.line(output.say(`已封禁 ${name}：${end}`, `Banned ${name}: ${end}`))
  output.value(describe(account))
  return exitCodes.done
}

/** `accounts unban <phone>` */
export async function unbanAccount(context: Context, phone: string): Promise<number> {
  const { output } = context
  const { phoneNumber, value } = await withServices(context, async ({ accounts, lifecycle }) => {
    const account = await accounts.find(phone)
    // The number itself may be banned: its account was removed under a permanent ban.
    const number = accounts.numberOf(phone, account)
    const wasBarred = number !== null && (await lifecycle.unbanNumber(number))
    if (!account && !wasBarred) throw new AppError('account_not_found')
    return account
      ? { phoneNumber: number ?? account.id, value: describe(await lifecycle.unban(account.id)) }
      : { phoneNumber: number, value: { id: null, phone_number: number, state: null } }
  })
  output.line(output.say(`已解封 ${phoneNumber}`, `The ban of ${phoneNumber} has ended`))
  output.value(value)
  return exitCodes.done
}

/** A day (its end) or a time to come. @throws UsageError */
function parseEnd(text: string, output: Output): number {
  const at = parseGivenTime(text, 'end')
  if (at === null || at <= Date.now()) {
    throw new UsageError(
      output.say(
        `--until 必须是将来的日期或时间，例如 2027-01-31 或 2027-01-31T12:00:00+08:00（现在是“${text}”）。`,
        `--until must be a day or a moment to come, for example 2027-01-31 or 2027-01-31T12:00:00+08:00 (it is "${text}").`,
      ),
    )
  }
  return at
}

/** `accounts unlock <phone>` */
export async function unlockAccount(context: Context, phone: string): Promise<number> {
  const { output, settings } = context
  if (settings.database.location.kind === 'sqlite' && settings.redis.url === null) {
    throw new UsageError(
      output.say(
        '只用 SQLite、不用 Redis 时，失败次数记在服务进程里：重启服务即可清除。',
        'On SQLite without Redis the failures are counted in the server itself: restart it to forget them.',
      ),
    )
  }
  const phoneNumber = await withServices(context, ({ accounts }) => accounts.unlock(phone))
  output.line(
    output.say(
      `已清除 ${phoneNumber} 的登录失败记录和已计的短信次数`,
      `Reset the failed sign-ins and the counted messages of ${phoneNumber}`,
    ),
  )
  output.value({ phone_number: phoneNumber, unlocked: true })
  return exitCodes.done
}

function describe(account: Account) {
  return {
    id: account.id,
    phone_number: account.phoneNumber,
    nickname: account.nickname,
    state: accountStateAt(account, Date.now()),
    has_password: account.hasPassword,
    phone_verified_at: isoTime(account.phoneVerifiedAt),
    banned_until: isoTime(account.ban?.until ?? null),
    ban_reason: account.banReason,
    closes_at: isoTime(account.closesAt),
    registered_at: isoTime(account.registeredAt),
  }
}

function accountLine(account: Account): string {
  const { id, phoneNumber, registeredAt, nickname } = account
  const state = accountStateAt(account, Date.now())
  return `${id}  ${(phoneNumber ?? '-').padEnd(16)}  ${state.padEnd(7)}  ${localTime(registeredAt)}  ${nickname ?? '-'}`
}

function assertGiven(answer: string | symbol | undefined, output: Output): string {
  if (isCancel(answer)) throw new UsageError(output.say('已取消。', 'Cancelled.'))
  return typeof answer === 'string' ? answer : ''
}

async function askForNickname(output: Output): Promise<string | null> {
  const answer = assertGiven(
    await askText({ message: output.say('昵称（可留空）', 'Nickname (may be empty)') }),
    output,
  )
  return answer === '' ? null : answer
}

async function askForPassword(output: Output): Promise<string> {
  const first = assertGiven(await askPassword({ message: output.say('密码', 'Password') }), output)
  const second = assertGiven(await askPassword({ message: output.say('再输一次', 'Once more') }), output)
  if (first !== second)
    throw new UsageError(
      output.say('两次输入的密码不同，请再运行一次。', 'The two passwords differ: run the command again.'),
    )
  return nonEmpty(first, output, null)
}

async function readPassword(output: Output, phone: string, options: AddOptions): Promise<string> {
  const how = `echo "$PASSWORD" | ${calledAs(import.meta.url).command} accounts add ${phone} --password-stdin`
  if (!options.passwordStdin) {
    throw new UsageError(
      output.say(
        `没有终端可以询问密码，请用：${how}`,
        `There is no terminal to ask for a password; use: ${how}`,
      ),
    )
  }
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  return nonEmpty(
    Buffer.concat(chunks)
      .toString('utf8')
      .replace(/\r?\n$/, ''),
    output,
    how,
  )
}

function nonEmpty(password: string, output: Output, how: string | null): string {
  if (password !== '') return password
  throw new UsageError(
    how === null
      ? output.say('密码不能为空，请再运行一次。', 'The password must not be empty: run the command again.')
      : output.say(
          `密码不能为空，但标准输入里没有内容，请用：${how}`,
          `The password must not be empty, and there is nothing on standard input; use: ${how}`,
        ),
  )
}
