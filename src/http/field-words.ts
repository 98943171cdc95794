// Sentences about a field for `invalid_request`, in both languages. problem.ts puts them into the problem's
// `detail`.
import type { FieldFault } from '../errors.ts'

export type Language = 'zh-CN' | 'en'
/** The same text in each language. */
export type Words = Readonly<Record<Language, string>>

/** At most this many values of an enumeration are listed. */
const namedValues = 20

/** What `plainText` accepts. */
export const plainTextWords: Words = {
  'zh-CN': '须含可见的文字，不能含控制字符、换行、零宽字符或改变文字方向的字符',
  en: 'visible text without control characters, line breaks, zero-width characters or characters that turn the direction of text',
}

/** What the patterns of patterns.ts accept, by their names. */
const forms: Readonly<Record<string, Words>> = {
  plain_text: plainTextWords,
  printable_ascii: {
    'zh-CN': '只能是 ASCII 可见字符，不能有空格',
    en: 'visible ASCII characters without spaces',
  },
  https_url: {
    'zh-CN': '须为 https:// 开头的网址，例如 https://example.com/a.png',
    en: 'a URL that begins with https://, for example https://example.com/a.png',
  },
  code: { 'zh-CN': '须为六位数字，例如 123456', en: 'six digits, for example 123456' },
  locale: { 'zh-CN': '须为语言标记，例如 zh-CN', en: 'a language tag, for example zh-CN' },
  random_key: {
    'zh-CN': '须为 22 个 base64url 字符（128 位）',
    en: '22 characters of base64url (128 bits)',
  },
}

const types: Readonly<Record<string, Words>> = {
  string: { 'zh-CN': '字符串', en: 'text (a JSON string)' },
  object: { 'zh-CN': 'JSON 对象', en: 'a JSON object' },
  array: { 'zh-CN': 'JSON 数组', en: 'a JSON array' },
}

/**
 * `device.platform` for `/device/platform`. A name that the client made up is shown without invisible
 * characters.
 */
function nameOf(pointer: string): string {
  const path = pointer.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
  return `"${path.replace(/[\p{C}\p{Z}"]/gu, '?')}"`
}

type Sentence = (name: string, fault: FieldFault) => string

const list = (allowed: FieldFault['allowed']): string => allowedValues(allowed).join(', ')

const inChinese: Readonly<Record<string, Sentence>> = {
  is_missing: (name, { other, sent }) =>
    other === undefined
      ? `缺少字段 ${name}${toBe(sent && nameOf(sent), '：', ' 可能是它的误写')}。`
      : `${name} 和 ${nameOf(other)} 须提供其中一个。`,
  is_unknown: (name, { meant }) =>
    `没有 ${name} 这个字段：${meant === undefined ? '请检查拼写' : `可能应为 "${meant}"，请改正`}，或去掉它。`,
  has_wrong_type: (name, { type }) => `${name} 的类型错误${toBe(types[type ?? '']?.['zh-CN'], '：应为')}。`,
  is_too_short: (name, { limit }) => `${name} 至少要有 ${limit ?? 1} 个字符。`,
  is_too_long: (name, { limit }) => `${name} 过长${toBe(limit, '：最多', ' 个字符')}。`,
  has_too_few_items: (name, { limit }) => `${name} 至少要有 ${limit ?? 1} 项。`,
  has_too_many_items: (name, { limit }) => `${name} 的项数过多${toBe(limit, '：最多 ', ' 项')}。`,
  has_wrong_form: (name, { form }) => `${name} 的格式错误${toBe(forms[form ?? '']?.['zh-CN'], '：')}。`,
  is_not_one_of_the_allowed: (name, { allowed }) => `${name} 的值只能是：${list(allowed)}。`,
  is_used: (name) => `${name} 已用于另一次登录：请为每次登录生成新的值。`,
  is_not_valid: (name, { other }) =>
    other === undefined ? `${name} 无效。` : `${name} 和 ${nameOf(other)} 只能提供一个：请去掉其中之一。`,
}

const inEnglish: Readonly<Record<string, Sentence>> = {
  is_missing: (name, { other, sent }) =>
    other === undefined
      ? `Add the field ${name}${toBe(sent && nameOf(sent), '; it was probably meant by ')}.`
      : `Add either ${name} or ${nameOf(other)}.`,
  is_unknown: (name, { meant }) =>
    `The field ${name} is not known here: ${meant === undefined ? 'check its spelling' : `you probably mean "${meant}"; correct it`}, or remove it.`,
  has_wrong_type: (name, { type }) => `${name} has the wrong type${toBe(types[type ?? '']?.en, '; send ')}.`,
  is_too_short: (name, { limit }) => `${name} is too short; the least is ${limit ?? 1} character(s).`,
  is_too_long: (name, { limit }) => `${name} is too long${toBe(limit, '; the most is ', ' characters')}.`,
  has_too_few_items: (name, { limit }) => `${name} has too few items; the least is ${limit ?? 1}.`,
  has_too_many_items: (name, { limit }) => `${name} has too many items${toBe(limit, '; the most is ')}.`,
  has_wrong_form: (name, { form }) => `${name} has the wrong form${toBe(forms[form ?? '']?.en, '; send ')}.`,
  is_not_one_of_the_allowed: (name, { allowed }) => `${name} must be one of: ${list(allowed)}.`,
  is_used: (name) => `${name} was used for a sign-in before: choose a new one for each sign-in.`,
  is_not_valid: (name, { other }) =>
    other === undefined
      ? `${name} is not valid.`
      : `${name} and ${nameOf(other)} exclude each other: remove one of them.`,
}

function toBe(what: string | number | undefined, before: string, after = ''): string {
  return what === undefined ? '' : `${before}${what}${after}`
}

/** The values of an enumeration that a response lists. */
export function allowedValues(allowed: FieldFault['allowed'] = []): readonly string[] {
  return allowed.length <= namedValues ? allowed : [...allowed.slice(0, namedValues), '…']
}

/** One sentence for people: which field it is, and what to send instead. */
export function fieldAdvice(fault: FieldFault, language: Language): string | undefined {
  const name = fault.pointer === '' ? { 'zh-CN': '请求体', en: 'The body' }[language] : nameOf(fault.pointer)
  return (language === 'en' ? inEnglish : inChinese)[fault.problem]?.(name, fault)
}
