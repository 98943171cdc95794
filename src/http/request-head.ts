// Heads of requests that Node's parser accepts and this server refuses. Node itself would answer some of
// them, without the headers, the words and the log line of every other response.
import type { IncomingMessage } from 'node:http'

export type HeadFault = 'target' | 'host' | 'expectation'

/**
 * What is wrong with the head of a request; null: nothing.
 *
 * `target`: neither a path nor an http URL (RFC 9112, section 3.2). The router skips the first character, so
 * `*user` would be `/user` here and another address for a proxy's rules. `host`: HTTP/1.1 without `Host`.
 * `expectation`: one that this server cannot meet (RFC 9110, section 10.1.1).
 */
export function headFaultOf({ method, url = '', httpVersion, headers }: IncomingMessage): HeadFault | null {
  const isOfServer = method === 'OPTIONS' && url === '*'
  if (!url.startsWith('/') && !isOfServer && !/^https?:\/\//i.test(url)) return 'target'
  if (httpVersion !== '1.1') return null
  if (headers.host === undefined) return 'host'
  const { expect } = headers
  return expect === undefined || /^100-continue$/i.test(expect) ? null : 'expectation'
}
