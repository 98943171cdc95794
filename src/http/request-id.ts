// The id of a request: in its response, in problem details and in the log.

import type { IncomingHttpHeaders } from 'node:http'
import { randomText } from '../random-text.ts'

/** The last two digits of an id. */
const endings = Array.from({ length: 36 ** 2 }, (_, i) => i.toString(36).padStart(2, '0'))

/** Creates ids: the client's own X-Request-Id where it is harmless text, else a unique one. */
export function requestIds(): (request: { headers: IncomingHttpHeaders }) => string {
  const prefix = randomText(6)
  let count = 0
  // Formatting a number in base 36 costs as much as a lookup in a map of tokens, so it happens once for 1,296
  // requests.
  let start = ''
  return ({ headers }) => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)) return given
    const ending = count % endings.length
    if (ending === 0) start = `${prefix}-${(count / endings.length).toString(36)}`
    count++
    return start + endings[ending]
  }
}
