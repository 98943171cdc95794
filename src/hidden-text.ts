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
/** Tokens (`hf_`) and service keys (`hfk_`). */
const tokens = /hfk?_[\w-]*/gi
/** E.164, the form of phone numbers in the database, which drivers quote in their errors. */
const storedNumbers = /\+\d{7,}/g

/**
 * A path for the log, at most 200 characters. Each token and number in it becomes `…`, also where the path
 * has it percent-encoded, however often. A path without any stays as it is.
 */
export function shownPath(path: string): string {
  const cut = path.slice(0, readMax)
  const decoded = decodedText(cut)
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

/** Decodes what is percent-encoded until nothing is. Each round makes the text shorter. */
function decodedText(text: string): string {
  const decoded = text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes)
    } catch {
      // These bytes are no UTF-8.
      return bytes
    }
  })
  return decoded === text ? text : decodedText(decoded)
}
