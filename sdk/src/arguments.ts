// Refuses arguments of the wrong type, for callers without TypeScript.

/** `null` is a value of the fields of `updateAccount` alone. */
type Need = 'text' | 'text or nothing' | 'text, null or nothing'

/**
 * @param input what the method was called with: an object
 * @throws TypeError that names the method and the field
 */
export function assertFields(method: string, input: unknown, needs: Readonly<Record<string, Need>>): void {
  if (typeof input !== 'object' || input === null) {
    const [field = ''] = Object.keys(needs)
    throw new TypeError(`${method}: the argument must be an object, for example { ${field}: … }`)
  }
  for (const [field, need] of Object.entries(needs)) {
    const value = (input as Readonly<Record<string, unknown>>)[field]
    const isFine =
      typeof value === 'string' ||
      (need !== 'text' && value === undefined) ||
      (need === 'text, null or nothing' && value === null)
    if (!isFine) throw new TypeError(`${method}: ${field} must be text${meant(field, input, needs)}`)
  }
}

/** @throws TypeError that names the method */
export function assertText(method: string, name: string, value: unknown): void {
  if (typeof value !== 'string') throw new TypeError(`${method}: ${name} must be text`)
}

/** A question about a field of the caller that has a similar name. */
function meant(field: string, input: object, needs: Readonly<Record<string, Need>>): string {
  const plain = (name: string) => name.replace(/[^a-z]/gi, '').toLowerCase()
  const similar = Object.keys(input).find((name) => {
    const [one, other] = [plain(name), plain(field)]
    return !(name in needs) && one !== '' && (one.indexOf(other) >= 0 || other.indexOf(one) >= 0)
  })
  return similar === undefined ? '' : `; did you mean ${field} by "${similar}"?`
}
