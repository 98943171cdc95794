// Text patterns of request fields, each with a name: the schemas check them, field-words.ts describes them.
import { idempotencyKeyPattern } from '../sessions/sign-in-repeats.ts'
import { plainText } from '../typed-text.ts'

/** RFC 3986: a host name, an optional port, then a path or a query of the characters that a URL may have. */
export const httpsUrl =
  '^https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:[/?][A-Za-z0-9._~:/?#@!$&()*+,;=%\\x27\\[\\]-]*)?$'
export const printableAscii = '^[\\x21-\\x7E]+$'
export const languageTag = '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$'

// White space and invisible characters before, between and after the digits, as keyboards and contact lists
// add them.
const unseen = '[\\s\\p{Default_Ignorable_Code_Point}-]*'
export const sixDigits = `^${unseen}(?:[0-9\\uFF10-\\uFF19]${unseen}){6}$`

const forms = new Map([
  [plainText, 'plain_text'],
  [httpsUrl, 'https_url'],
  [printableAscii, 'printable_ascii'],
  [sixDigits, 'code'],
  [languageTag, 'locale'],
  [idempotencyKeyPattern, 'random_key'],
])

/** The name of a pattern; undefined where it has none. */
export function formOfPattern(pattern: string): string | undefined {
  return forms.get(pattern)
}
