// A request with a delayed body: its headers and one byte, then nothing, then the rest.
import { request } from 'node:http'

export interface HeldRequest {
  readonly method: string
  readonly url: string
  readonly token: string
  /** JSON. */
  readonly body: string
}

interface HeldAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

export interface Held {
  /** Sends the rest of the body. */
  release(): void
  /** Rejects where the connection breaks. */
  readonly answer: Promise<HeldAnswer>
}

/** Sends the headers and the first byte of a body; resolves when they were written. */
export async function holdRequest(
  { method, url, token, body }: HeldRequest,
  timeoutMs = 20_000,
): Promise<Held> {
  const sent = request(url, {
    method,
    agent: false,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    },
    signal: AbortSignal.timeout(timeoutMs),
  })
  const answer = new Promise<HeldAnswer>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      )
    })
  })
  // It is awaited later; until then a broken connection must not be an unhandled rejection.
  answer.catch(() => {})
  await new Promise<void>((resolve) => sent.write(body.slice(0, 1), () => resolve()))
  return { release: () => sent.end(body.slice(1)), answer }
}
