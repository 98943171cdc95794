// Text that a client chose, for the log: without what may be a token, a service key or a phone number.

/** A longer text is cut first, so that a flood of long paths costs little. */
const readMax = 1_000
/** The longest text of a client in a log line. */
const shownMax = 200

/**
 * Seven or more digits in a row, of any script, also with up to three other characters between two of them:
 * `138-0013-8000`, `(138) 0013 8000`, `１３８００１３８０００`. Letters and slashes separate numbers. The
 * characters between digits and the digits have none in common, so the search takes linear time.
 */
const numbers = /\p{Nd}(?:[^\p{L}\p{Nd}/]{0,3}\p{Nd}){6,}/gu
/** The same without dots and colons between digits: an address that has a typing error is to be read. */
const numbersBesideAddresses = /\p{Nd}(?:[^\p{L}\p{Nd}.:/]{0,3}\p{Nd}){6,}/gu
/** Tokens (`hf_`), service keys (`hfk_`) and device proofs (`hp_`). */
const tokens = /(?:hfk?|(?<![a-z])hp)_[\w-]*/gi
const percentEncoded = /(?:%[0-9a-f]{2})+/gi
/** How often a path may be percent-encoded. */
const maxRounds = 4
/** E.164, the form of phone numbers in the database, which drivers quote in their errors. */
const storedNumbers = /\+\d{7,}/g

/**
 * A path for the log, at most 200 characters. Each token and number in it becomes `…`, also where the path
 * has it percent-encoded, also several times. A path without any stays as it is.
 */
export function shownPath(path: string): string {
  const cut = path.slice(0, readMax)
  const decoded = decodedText(cut)
  if (decoded === null) return '/…'
  const shown = hidden(decoded, numbers)
  if (shown === decoded) return cut.slice(0, shownMax)
  return shown.replaceAll(/[^!-~…]/gu, encodeURIComponent).slice(0, shownMax)
}

/** The beginning of a header's text for the log, at most 100 characters, without tokens and numbers. */
export function shownHeader(text: string): string {
  return hidden(text.slice(0, readMax), numbersBesideAddresses).slice(0, 100)
}

/** A driver's error message for the log, without the phone numbers that it quotes. */
export function shownMessage(message: string): string {
  return message.replaceAll(storedNumbers, '+…')
}

function hidden(text: string, digits: RegExp): string {
  return text.replaceAll(tokens, 'hf_…').replaceAll(digits, '…')
}

/**
 * Decodes what is percent-encoded, also several times; null: it is encoded more often than any client does.
 * Bytes that are no UTF-8 become U+FFFD, so that they hide nothing beside them, and cost no exception.
 */
function decodedText(text: string): string | null {
  let decoded = text
  for (let round = 0; round < maxRounds; round++) {
    const next = decoded.replaceAll(percentEncoded, (bytes) =>
      Buffer.from(bytes.replaceAll('%', ''), 'hex').toString('utf8'),
    )
    if (next === decoded) return decoded
    decoded = next
  }
  return decoded.search(percentEncoded) === -1 ? decoded : null
}
