// Parsers from the text of a setting to its value, for several settings.
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
    throw new WrongValue(`必须是下列之一：${words.join('、')}`, `must be one of: ${words.join(', ')}`)
  }
}

/** Minutes in this range, as milliseconds. */
export function minutes(min: number, max: number) {
  return (text: string): number => whole(min, max)(text) * 60_000
}

/** Days as milliseconds; null for `0`, which means for ever. */
export function days(text: string): number | null {
  const value = whole(0, 36_500)(text)
  return value === 0 ? null : value * 86_400_000
}

/** Empty: not set. Visible characters only, because the value becomes part of headers and addresses. */
export function word(text: string): string {
  if (/^[!-~]*$/.test(text)) return text
  throw new WrongValue(
    '必须是不含空白的字母、数字和符号',
    'must be letters, digits and signs without white space',
  )
}

/** An http(s) URL without credentials, as WHATWG serializes it; empty: not set. */
export function httpUrl(text: string): string {
  if (text === '') return text
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href
  throw new WrongValue(
    '必须是不含用户名和密码的 http:// 或 https:// 网址',
    'must be an http:// or https:// URL without a name and a password in it',
  )
}

/** Scheme, host and port of an http(s) server. */
export function origin(text: string): string {
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url.origin
  throw new WrongValue(
    '必须是 https://host 或 http://host:port，后面不能有其他内容',
    'must be https://host or http://host:port, and nothing behind it',
  )
}
