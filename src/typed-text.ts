// Text that a person typed or pasted, without what a person cannot see.

/**
 * The same text in NFKC (full-width digits become ASCII digits, a no-break space becomes a space), without the characters
 * that Unicode calls default-ignorable (zero-width, direction marks, byte order mark), and without white space at its ends.
 * Contacts, keyboards and messengers add these; two texts that look the same are the same after this.
 */
export function visibleText(text: string): string {
  return text
    .normalize('NFKC')
    .replace(/\p{Default_Ignorable_Code_Point}/gu, '')
    .trim()
}
