// hufu purge: removes expired data, and prints the result for each kind of data.
import type { PurgeOutcome, PurgeReport } from '../database/purges.ts'
import { type Logger, withoutValues } from '../log.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { exitCodes, type Output } from './output.ts'
import { withServices } from './with-services.ts'

const purgeNow = `${calledAs(import.meta.url).command} purge --now`

/** `purge` */
export async function purge(context: Context, { now = false }: { now?: boolean }): Promise<number> {
  const { output } = context
  const reports = await withServices(context, ({ purgeExpired }) => purgeExpired({ isClockRight: now }))
  for (const report of reports) {
    output.value(describe(report))
    output.line(`${report.step.padEnd(20)} ${sentence(report, output)}`)
  }
  return reports.every(({ outcome }) => outcome.is === 'done' || outcome.is === 'elsewhere')
    ? exitCodes.done
    : exitCodes.refused
}

function describe({ step, outcome, removed }: PurgeReport) {
  const waits = outcome.is === 'waiting' ? { wait_seconds: Math.ceil(outcome.waitMs / 1000) } : {}
  return { step, outcome: outcome.is, removed, ...waits }
}

function sentence({ outcome, removed }: PurgeReport, output: Output): string {
  switch (outcome.is) {
    case 'done':
      return output.say(`已删除 ${removed} 条`, `removed ${removed}`)
    case 'elsewhere':
      return output.say('另一个进程正在处理', 'another process is doing it')
    case 'failed':
      return output.say(
        `失败，已删除 ${removed} 条：${textOf(outcome.error)}`,
        `failed after ${removed}: ${textOf(outcome.error)}`,
      )
    case 'waiting':
      return waitingSentence(outcome, output)
    case 'clocks_differ':
      return output.say(
        `未删除：本机与数据库的时钟相差 ${seconds(outcome.offMs)} 秒；请校准时钟，确认无误后也可以用 ${purgeNow}`,
        `nothing removed: our clock and the database's are ${seconds(outcome.offMs)} s apart; set the clock, or use "${purgeNow}" if the database's is right`,
      )
  }
}

function waitingSentence(
  { offMs, waitMs }: Extract<PurgeOutcome, { is: 'waiting' }>,
  output: Output,
): string {
  const hours = Math.ceil(waitMs / 3_600_000)
  const why =
    offMs === null
      ? output.say('第一次检查', 'this is the first check')
      : output.say(
          '时钟跳变过，或者服务停了一天以上',
          'the clock jumped, or no server ran for more than a day',
        )
  return output.say(
    `未删除：${why}；${hours} 小时后开始，时间无误也可以立即执行 ${purgeNow}`,
    `nothing removed: ${why}; the removal starts after ${hours} more hours of running, or now with "${purgeNow}" if the time is right`,
  )
}

const seconds = (ms: number) => Math.round(Math.abs(ms) / 1000)
const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Logs what an operator must know about a run of the purge steps. */
export function logPurges(reports: readonly PurgeReport[], log: Logger): void {
  for (const { step, outcome, removed } of reports) {
    if (outcome.is === 'failed')
      log.warn({ step, removed, err: withoutValues(outcome.error) }, 'old data not removed')
    if (outcome.is === 'done' && removed > 0) log.info({ step, removed }, 'old data removed')
  }
  const outcomes = reports.map(({ outcome }) => outcome)
  const apart = outcomes.find((outcome) => outcome.is === 'clocks_differ')
  if (apart?.is === 'clocks_differ')
    log.warn({ off_ms: apart.offMs }, 'old data not removed: our clock and that of the database differ')
  const waiting = outcomes.filter((outcome) => outcome.is === 'waiting')
  if (waiting.some(({ offMs }) => offMs === null)) log.info('clean-up of expired data starts in 24 hours')
  // Logged once: in the hours after a jump, the clock is right again.
  const jumped = waiting.find(({ offMs }) => offMs !== null && offMs !== 0)
  if (jumped) log.warn({ off_ms: jumped.offMs }, jumpWarning)
}

const jumpWarning = `old data not removed: the clock jumped, or no server ran for more than a day; it is removed in 24 h, or by "${purgeNow}" if the time is right`
