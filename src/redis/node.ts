// A client of one Redis process, without a queue and without reconnects, so that its owner knows each
// connection.
import { createClient } from 'redis'
import { redisCommandMs } from '../timing.ts'
import { answerWithin, connectMs } from './deadline.ts'

/** The options that all clients of one node share. */
export function nodeOptions(url: string) {
  return {
    url,
    RESP: 3,
    disableOfflineQueue: true,
    // `answerWithin` and the health checks are the deadlines. The client's own deadline would create an error
    // for each command, 5 s later.
    commandOptions: { timeout: 0 },
    socket: { connectTimeout: connectMs, reconnectStrategy: false },
  } as const
}

/** Sends one command and returns the answer in RESP 2: maps are lists of names and values. */
export type Send = (...words: string[]) => Promise<unknown>

/**
 * Opens a connection for `work` and closes it afterwards.
 * @throws the error of the connection, or an error where a command takes too long
 */
export async function onNode<T>(url: string, work: (send: Send) => Promise<T>): Promise<T> {
  try {
    return await withLogin(url, work)
  } catch (error) {
    if (!isNeedless(error)) throw error
    return await withLogin(url.replace(/\/\/[^@/]*@/, '//'), work)
  }
}

/**
 * Whether Redis refuses a password because it has none. In RESP 3 it accepts any password then, so the
 * server's own connections work.
 */
function isNeedless(error: unknown): boolean {
  return error instanceof Error && /without any password configured|no password is set/.test(error.message)
}

async function withLogin<T>(url: string, work: (send: Send) => Promise<T>): Promise<T> {
  const client = createClient({ ...nodeOptions(url), RESP: 2 })
  // Without a listener, Node would treat a lost connection as an uncaught error.
  client.on('error', () => {})
  try {
    await answerWithin(connectMs, client.connect())
    return await work(async (...words) => await answerWithin(redisCommandMs, client.sendCommand(words)))
  } finally {
    client.destroy()
  }
}
