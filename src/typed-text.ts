// Text that a person typed or pasted, without invisible characters.

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
