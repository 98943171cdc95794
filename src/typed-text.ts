// Text that a person typed or pasted: its visible part, and whether it is visible at all.

/**
 * The same text in NFKC (full-width digits become ASCII digits, a no-break space becomes a space), without
 * the characters that Unicode calls default-ignorable (zero-width, direction marks, byte order mark), and
 * without white space at its ends. Address books, keyboards and messengers add these. Two texts that look the
 * same are equal after this.
 */
export function visibleText(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .trim()
}

/**
 * At least one visible character (U+2800 is blank), and no control characters, lone surrogates, line
 * separators, invisible characters, or characters that change the text direction.
 */
export const plainText =
  '^(?=.*[^\\s\\p{Default_Ignorable_Code_Point}\\u2800])[^\\p{Cc}\\p{Cs}\\u00AD\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u2069\\uFEFF]+$'

const plainTextOnly = new RegExp(plainText, 'u')

/** Whether a text fits `plainText`. */
export function isPlainText(text: string): boolean {
  return plainTextOnly.test(text)
}
