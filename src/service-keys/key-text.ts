// The text of a service key: `hfk_` + key id (12) + `_` + secret (43, 256 bits) + checksum (6): 66 characters
// in all. It has letters, digits and underscores only: a double click selects all of it, and form encoding
// does not change it.
import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const prefix = 'hfk_'
const idLength = 12
const secretAt = prefix.length + idLength + 1
const secretLength = 43
const checksumLength = 6
const checksumAt = secretAt + secretLength

/** docs/service-keys.md shows it, for scanners that look for secrets in source code. */
export const keyPattern = /^hfk_[a-z0-9]{12}_[A-Za-z0-9]{49}$/

const lowercase = '0123456789abcdefghijklmnopqrstuvwxyz'
const letters = `${lowercase}ABCDEFGHIJKLMNOPQRSTUVWXYZ`

/** What a presented text says by itself. */
export interface PresentedKey {
  readonly id: string
  /** SHA-256 of the whole text, base64url, 43 characters. */
  readonly hash: string
}

/** A new id: 12 lower-case letters and digits, 62 random bits. */
export function newKeyId(): string {
  return randomOf(lowercase, idLength)
}

/** A new text for the key with this id. It is shown once and never stored. */
export function issueKeyText(id: string): string {
  const text = `${prefix}${id}_${randomOf(letters, secretLength)}`
  return text + checksumOf(text)
}

/** Whether a text is meant as a service key, complete or not. */
export function looksLikeKey(text: string): boolean {
  return text.startsWith(prefix)
}

/** null: the text cannot be a key. A typo, or a key that was cut off, costs no lookup. */
export function parseKeyText(text: string): PresentedKey | null {
  if (!keyPattern.test(text)) return null
  if (text.slice(checksumAt) !== checksumOf(text.slice(0, checksumAt))) return null
  return { id: text.slice(prefix.length, prefix.length + idLength), hash: hashKeyText(text) }
}

/** What is stored of a key's text. A fast hash is enough, because the secret is random. */
export function hashKeyText(text: string): string {
  return hash('sha256', text, 'base64url')
}

/** CRC-32 (ISO 3309) in base 62, 6 characters. */
function checksumOf(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < checksumLength; i++) {
    digits = letters.charAt(rest % letters.length) + digits
    rest = Math.floor(rest / letters.length)
  }
  return digits
}

/** Characters of an alphabet, each as likely as the others: bytes above its last multiple are dropped. */
function randomOf(alphabet: string, length: number): string {
  const usable = 256 - (256 % alphabet.length)
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length - text.length))
      if (byte < usable) text += alphabet.charAt(byte % alphabet.length)
  }
  return text
}
