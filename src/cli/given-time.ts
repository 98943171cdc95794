// The times that an operator gives to a command.
import { startOfDay } from '../clock.ts'

/**
 * A day (`2027-01-31`, local time) or a time in ISO 8601, in milliseconds since 1970 UTC; null: it is
 * neither.
 * @param day whether a day means its first or its last millisecond
 */
export function parseGivenTime(text: string, day: 'start' | 'end'): number | null {
  const isDay = text.length === 10
  const at = Date.parse(isDay ? `${text}T${day === 'start' ? '00:00:00.000' : '23:59:59.999'}` : text)
  const isTime = isDay || /^.{10}T[\d:.]+(Z|[+-]\d\d:\d\d)?$/.test(text)
  return startOfDay(text.slice(0, 10)) === null || !isTime || Number.isNaN(at) ? null : at
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A period such as `30m`, `24h` or `90d`, or `0`, in milliseconds; null: it is none. */
export function parsePeriod(text: string): number | null {
  if (text === '0') return 0
  const [, count, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? []
  // The pattern has checked both.
  return count === undefined ? null : Number(count) * unitMs[unit as keyof typeof unitMs]
}
