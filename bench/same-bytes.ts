// Checks that two routes send the same number of bytes, so that their comparison measures the check and not
// the response.
import { request as send } from 'node:http'
import type { Asked } from './http-load.ts'

/**
 * Compares the first responses.
 * @throws Error that names the header or the body that differs
 */
export async function assertSameBytes(bare: Asked, other: Asked): Promise<void> {
  const [expected, found] = [await sizes(bare), await sizes(other)]
  for (const part of new Set([...expected.keys(), ...found.keys()])) {
    const [wanted, given] = [expected.get(part), found.get(part)]
    if (wanted !== given) {
      const describe = (size: number | undefined) => (size === undefined ? 'none' : `${size} bytes`)
      const path = other.requests[0]?.path
      throw new Error(
        `${path}: ${part} is ${describe(given)} in "${other.name}", ${describe(wanted)} in "${bare.name}"`,
      )
    }
  }
}

/** The size of each header and of the body. */
async function sizes({ name, url, requests: [request] }: Asked): Promise<Map<string, number>> {
  if (!request) throw new Error(`${name}: nothing to ask`)
  return await new Promise((resolve, reject) => {
    const { path, body: sent, ...options } = request
    const asked = send(`${url}${path}`, options, async (answer) => {
      let body = 0
      for await (const chunk of answer) body += chunk.length
      const found = new Map([['the body', body]])
      for (const [header, value] of Object.entries(answer.headers)) found.set(header, String(value).length)
      // It ends in a counter, which grows to the length of the others.
      if (found.has('x-request-id')) found.set('x-request-id', 12)
      resolve(found)
    })
    asked.on('error', reject).end(sent)
  })
}
