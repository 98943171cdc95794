// Settings of codes: their key, and test numbers for app reviewers.
import { startOfDay } from '../clock.ts'
import { SettingsError, setting, type ValuesOf, WrongValue } from './setting.ts'

export const codeSettings = {
  secret: setting({
    name: 'HUFU_SECRET',
    default: '',
    secret: true,
    parse: secret,
  }),
  testNumbers: setting({
    name: 'HUFU_TEST_NUMBERS',
    default: '',
    secret: true,
    parse: testNumbers,
  }),
  testNumbersUntil: setting({
    name: 'HUFU_TEST_NUMBERS_UNTIL',
    default: '',
    parse: lastDay,
  }),
}

/** @throws SettingsError where test numbers have no last day */
export function assertCodeSettings(settings: ValuesOf<typeof codeSettings>): void {
  if (settings.testNumbers.size > 0 && settings.testNumbersUntil === null) {
    throw new SettingsError(
      '设置了 HUFU_TEST_NUMBERS 就要设置 HUFU_TEST_NUMBERS_UNTIL：这些号码使用固定验证码的最后一天。',
      'HUFU_TEST_NUMBERS needs HUFU_TEST_NUMBERS_UNTIL, the last day on which these numbers have a fixed code.',
    )
  }
}

function secret(text: string): string | null {
  if (text === '') return null
  if (text.length >= 32) return text
  throw new WrongValue(
    '至少要有 32 个字符，例如这条命令的输出：openssl rand -base64 33',
    'must have at least 32 characters, for example the output of: openssl rand -base64 33',
  )
}

/** `+8613800000000=123456,…` -> numbers and their fixed codes. */
function testNumbers(text: string): ReadonlyMap<string, string> {
  const pairs = text === '' ? [] : text.split(',').map((pair) => pair.trim())
  const codes = new Map<string, string>()
  for (const pair of pairs) {
    const [, number, code] = /^(\+[1-9]\d{6,14})=(\d{6})$/.exec(pair) ?? []
    if (number === undefined || code === undefined)
      throw new WrongValue(
        '必须是 E.164 格式的号码，各带六位数字：+8613800000000=123456,…',
        'must be numbers in E.164 with six digits each: +8613800000000=123456,…',
      )
    codes.set(number, code)
  }
  return codes
}

/** The first moment after a day, in UTC: a test number is valid through its last day. */
function lastDay(text: string): number | null {
  if (text === '') return null
  const at = startOfDay(text)
  if (at === null)
    throw new WrongValue('必须是日期，例如 2027-01-31', 'must be a day, for example 2027-01-31')
  return at + 86_400_000
}
