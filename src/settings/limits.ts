// Settings of limits; docs/limits.md has the limits themselves.
import {
  type AdjustableAllowance,
  type Allowance,
  type AllowanceName,
  adjustableAllowances,
  allowanceText,
  networkFactor,
  windowText,
} from '../limits/allowances.ts'
import { oneOf, whole } from './parsers.ts'
import { type Setting, setting, WrongValue } from './setting.ts'

export const limitSettings = {
  enforcement: setting({
    name: 'HUFU_LIMITS',
    default: 'on',
    parse: oneOf('on', 'off'),
  }),
  smsDailyBudget: setting({
    name: 'HUFU_SMS_DAILY_BUDGET',
    default: '10000',
    parse: whole(0, 100_000_000),
  }),
  networkFactor: setting({
    name: 'HUFU_LIMIT_NETWORK_FACTOR',
    default: String(networkFactor.byDefault),
    parse: whole(networkFactor.from, networkFactor.to),
  }),
  allowances: {
    refusedPerAddress: allowance('HUFU_LIMIT_REFUSED_PER_ADDRESS', 'refusedPerAddress'),
    codesPerAddress: allowance('HUFU_LIMIT_CODES_PER_ADDRESS', 'codesPerAddress'),
    codesPerDevice: allowance('HUFU_LIMIT_CODES_PER_DEVICE', 'codesPerDevice'),
    codesPerNumber: allowance('HUFU_LIMIT_CODES_PER_NUMBER', 'codesPerNumber'),
    codesPerPrefix: allowance('HUFU_LIMIT_CODES_PER_PREFIX', 'codesPerPrefix'),
    signInsPerAddress: allowance('HUFU_LIMIT_SIGN_INS_PER_ADDRESS', 'signInsPerAddress'),
    signInsPerDevice: allowance('HUFU_LIMIT_SIGN_INS_PER_DEVICE', 'signInsPerDevice'),
    profileChangesPerSession: allowance('HUFU_LIMIT_PROFILE_CHANGES_PER_SESSION', 'profileChangesPerSession'),
    exportsPerSession: allowance('HUFU_LIMIT_EXPORTS_PER_SESSION', 'exportsPerSession'),
    rotationsPerSession: allowance('HUFU_LIMIT_ROTATIONS_PER_SESSION', 'rotationsPerSession'),
    endedSessionsPerSession: allowance('HUFU_LIMIT_ENDED_SESSIONS_PER_SESSION', 'endedSessionsPerSession'),
  },
}

function allowance(name: `HUFU_LIMIT_${string}`, of: AllowanceName): Setting<Allowance> {
  const adjustable = adjustableAllowances[of]
  return setting({
    name,
    default: allowanceText(adjustable.byDefault),
    parse: (text) => parseAllowance(text, adjustable),
  })
}

/** `5/10m,20/1h,60/1d`: a count for each window of the default, in its order. */
function parseAllowance(text: string, { byDefault, atLeast, atMost }: AdjustableAllowance): Allowance {
  const parts = text.split(',').map((part) => part.trim())
  const counts = parts.map((part) => Number(/^(\d{1,9})\/\d+[mhd]$/.exec(part)?.[1] ?? Number.NaN))
  const given = parts.map((part) => part.split('/')[1])
  const windows = byDefault.map(([, perSeconds]) => windowText(perSeconds))
  if (counts.some(Number.isNaN) || given.join() !== windows.join()) {
    const example = allowanceText(byDefault)
    throw new WrongValue(
      `必须为 ${windows.join('、')} 各写一个次数，例如 ${example}`,
      `must have one count for each of ${windows.join(', ')}, for example ${example}`,
    )
  }
  const allowance = byDefault.map(([, perSeconds], i) => [counts[i] ?? 0, perSeconds] as const)
  if (allowance.some(([max], i) => max < (atLeast[i]?.[0] ?? 0) || max > atMost))
    throw new WrongValue(
      `的次数不能低于 ${allowanceText(atLeast)}，也不能高于 ${atMost}`,
      `must have counts of at least ${allowanceText(atLeast)} and at most ${atMost}`,
    )
  const less = counts.findIndex((count, i) => count < (counts[i - 1] ?? 0))
  if (less >= 0)
    throw new WrongValue(
      `在更长的时间里不能允许更少，而 ${parts[less]} 少于 ${parts[less - 1]}`,
      `must not allow less in a longer time, and ${parts[less]} is less than ${parts[less - 1]}`,
    )
  return allowance
}
