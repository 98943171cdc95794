// Headers that every response carries, and lists of headers. A header for all responses is added here and
// nowhere else: Fastify's replies, the fast path and the responses in plain bytes (raw-problem.ts) all take
// them from here.
import type { FastifyReply } from 'fastify'

/** Header names and values, alternating, as `writeHead` takes them. */
export type HeaderList = readonly string[]

/** No response may be stored, unless its route says otherwise (docs/stored-answer.ts). */
export const everyAnswer: HeaderList = ['cache-control', 'no-store']

/** Calls `set` with each pair of a list. */
export function setEach(list: HeaderList, set: (name: string, value: string) => void): void {
  for (let i = 0; i < list.length; i += 2) set(list[i] ?? '', list[i + 1] ?? '')
}

/** The pairs of a list as lines of an HTTP message. */
export function headerLines(list: HeaderList): string[] {
  const lines: string[] = []
  setEach(list, (name, value) => lines.push(`${name}: ${value}`))
  return lines
}

/** Adds a request header to `Vary`, beside those that it lists already. */
export function addVary(reply: FastifyReply, name: string): void {
  const named = reply.getHeader('vary')
  reply.header('vary', named === undefined ? name : `${named}, ${name}`)
}
