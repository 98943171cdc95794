// doctor's check of a clock against that of this machine.
import type { Finding } from './doctor-finding.ts'
import type { Output } from './output.ts'

/** Clocks further apart than this make sessions end early or late, and times in logs hard to compare. */
const clockToleranceMs = 2_000

const clockOwners = {
  database: { zh: '数据库', en: 'the database' },
  redis: { zh: ' Redis ', en: 'Redis' },
} as const

/** @param aheadMs how far that clock is ahead of this machine's, in milliseconds */
export function clockFinding(of: keyof typeof clockOwners, aheadMs: number, output: Output): Finding {
  const { zh, en } = clockOwners[of]
  const text = output.say(
    `${zh}的时钟与本机相差 ${aheadMs} 毫秒`.trim(),
    `the clock of ${en} is ${aheadMs} ms from ours`,
  )
  if (Math.abs(aheadMs) <= clockToleranceMs) return { check: 'clock', status: 'ok', text }
  return {
    check: 'clock',
    status: 'warning',
    text: `${text}; ${output.say('请在每台机器上运行 NTP，例如：timedatectl set-ntp true', 'run NTP on every machine, for example: timedatectl set-ntp true')}`,
  }
}
