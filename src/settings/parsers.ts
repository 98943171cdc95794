// From the text of a setting to its value: what several settings have in common.
import { WrongValue } from './setting.ts'

/** A whole number in this range. */
export function whole(min: number, max: number) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new WrongValue(`必须是 ${min} 到 ${max} 的整数`, `must be a whole number from ${min} to ${max}`)
  }
}

export function yesOrNo(text: string): boolean {
  if (/^(true|yes|on|1)$/i.test(text)) return true
  if (/^(false|no|off|0)$/i.test(text)) return false
  throw new WrongValue('必须是 true 或 false', 'must be true or false')
}

/** One of these words. */
export function oneOf<T extends string>(...words: T[]) {
  return (text: string): T => {
    const word = words.find((known) => known === text)
    if (word) return word
    throw new WrongValue(`必须是其中之一：${words.join('、')}`, `must be one of: ${words.join(', ')}`)
  }
}

/** Days as milliseconds; null for `0`, which is for ever. */
export function days(text: string): number | null {
  const value = whole(0, 36_500)(text)
  return value === 0 ? null : value * 86_400_000
}
