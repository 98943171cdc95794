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
 * separators, annotation marks, or characters that Unicode calls default-ignorable (zero-width, text
 * direction, fillers, tags). Allowed are those that visible text needs: joiners, variation selectors, and the
 * tags in a flag such as that of Scotland (UTS #51, ED-14a).
 */
export const plainText =
  '^(?=.*[^\\s\\p{Default_Ignorable_Code_Point}\\u2800])(?:\\u{1F3F4}[\\u{E0030}-\\u{E0039}\\u{E0061}-\\u{E007A}]{3,6}\\u{E007F}|[\\u200C\\u200D\\p{Variation_Selector}]|[^\\p{Cc}\\p{Cs}\\p{Default_Ignorable_Code_Point}\\u2028\\u2029\\uFFF9-\\uFFFB])+$'

const plainTextOnly = new RegExp(plainText, 'u')

/** Whether a text fits `plainText`. */
export function isPlainText(text: string): boolean {
  return plainTextOnly.test(text)
}
