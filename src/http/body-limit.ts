// Bodies over the limit are refused before they are read, also while their request waits for its turn.
import type { IncomingMessage } from 'node:http'

/** Bytes. */
export const bodyMax = 16 * 1024

/** Whether a request announces a body over the limit. */
export function announcesTooMuch({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return length !== undefined && Number(length) > bodyMax
}

/**
 * Calls `refuse` once when more than the limit of a chunked body has arrived before the body is read.
 * @returns ends the watch; call it before the body is read
 */
export function watchUnreadBody(request: IncomingMessage, refuse: () => void): () => void {
  if (request.headers['transfer-encoding'] === undefined) return () => {}
  const { push } = request
  let bytes = 0
  // Node's parser gives each chunk to `push`. A listener of the stream would make Node read the connection,
  // which may be paused.
  request.push = (chunk: Buffer | null, encoding) => {
    bytes += chunk?.length ?? 0
    if (bytes > bodyMax) {
      stop()
      refuse()
    }
    return push.call(request, chunk, encoding)
  }
  // This restores the inherited method.
  const stop = () => void Reflect.deleteProperty(request, 'push')
  return stop
}
