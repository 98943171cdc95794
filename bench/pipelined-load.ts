// A load generator that needs little CPU: each connection writes many requests in one piece, counts the
// responses, and repeats.
import { connect } from 'node:net'

const statusLine = Buffer.from('HTTP/1.1 ')
const ok = Buffer.from('200 ')

/**
 * Sends requests for some seconds on some connections, and returns the responses per second.
 * @param pieces requests in pieces of `each` requests; a connection uses one piece
 * @throws Error when a response is not 200 or a connection breaks
 */
export async function pipelinedLoad(
  url: string,
  pieces: readonly string[],
  { each, connections, seconds }: { each: number; connections: number; seconds: number },
): Promise<number> {
  const { hostname, port } = new URL(url)
  const began = performance.now()
  const until = began + seconds * 1000
  const askOne = async (i: number): Promise<number> => {
    const piece = Buffer.from(pieces[i % pieces.length] ?? '')
    const socket = connect(Number(port), hostname)
    const answers = new AnswerCount()
    let total = 0
    socket.write(piece)
    for await (const chunk of socket) {
      answers.read(chunk)
      if (answers.count < each) continue
      total += each
      if (performance.now() >= until) return total
      answers.count -= each
      socket.write(piece)
    }
    throw new Error('the server closed a connection')
  }
  const counts = await Promise.all(Array.from({ length: connections }, (_, i) => askOne(i)))
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1000)
}

/** Counts the responses in the data of one connection, wherever the chunks end. */
class AnswerCount {
  count = 0
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk
    const whole = statusLine.length + ok.length
    let from = 0
    for (;;) {
      const at = bytes.indexOf(statusLine, from)
      if (at < 0 || at + whole > bytes.length) {
        // The chunk may end within a status line.
        this.#rest = bytes.subarray(at < 0 ? Math.max(from, bytes.length - statusLine.length + 1) : at)
        return
      }
      if (!bytes.subarray(at + statusLine.length, at + whole).equals(ok)) throw new Error('a check failed')
      this.count++
      from = at + whole
    }
  }
}
