// A client of one Redis process, without a queue and without reconnects, so that its owner knows each
// connection.
import { createClient } from 'redis'
import { redisCommandMs } from '../timing.ts'
import { answerWithin, connectMs } from './deadline.ts'

/** What every client of one node has in common; the rest is for whoever makes it. */
export function nodeOptions(url: string) {
  return {
    url,
    RESP: 3,
    disableOfflineQueue: true,
    // `answerWithin` and the watch of the connection are the limits; the client's own makes an error for each
    // command, 5 s later.
    commandOptions: { timeout: 0 },
    socket: { connectTimeout: connectMs, reconnectStrategy: false },
  } as const
}

/** Sends one command and gives its answer as RESP 2 has it: maps are lists of names and values. */
export type Tell = (...words: string[]) => Promise<unknown>

/** Works on a connection of its own. @throws what the connection threw, or when a command takes too long */
export async function onNode<T>(url: string, work: (tell: Tell) => Promise<T>): Promise<T> {
  const client = createClient({ ...nodeOptions(url), RESP: 2 })
  // Without a listener, Node takes a lost connection for a crash.
  client.on('error', () => {})
  try {
    await answerWithin(connectMs, client.connect())
    return await work(async (...words) => await answerWithin(redisCommandMs, client.sendCommand(words)))
  } finally {
    client.destroy()
  }
}
