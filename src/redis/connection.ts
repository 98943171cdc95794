// One connection to a primary: how it begins, and how it is watched until something about it is wrong.
import { redisCommandMs } from '../timing.ts'
import { answerWithin, connectMs } from './deadline.ts'
import type { Address } from './redis-url.ts'

/** So silence is seen within 0.7 s. */
const askEveryMs = 200

/** The part of a node-redis client that a link needs. */
export interface NodeClient {
  connect(): Promise<unknown>
  destroy(): void
  readonly isReady: boolean
  on(event: 'error', listener: (cause: unknown) => void): unknown
  sendCommand(words: string[]): Promise<unknown>
}

/** What a process remembers of what it read on one connection. */
export interface Memory {
  forgetAll(): void
  /** Called now and then. */
  forgetOld(): void
}

export interface Connection<Client, Held> {
  readonly client: Client
  readonly address: Address
  /** Which Redis process this is: the beginning of its run_id, which is new with each start. */
  readonly run: string
  readonly held: Held
}

/**
 * Connects a client, and makes ready what goes with the connection.
 * @throws what the connection threw, or when the other side is not a primary at work
 */
export async function openConnection<Client extends NodeClient, Held>(
  client: Client,
  address: Address,
  begin: (client: Client) => Promise<Held>,
): Promise<Connection<Client, Held>> {
  // Without a listener, Node takes a lost connection for a crash.
  client.on('error', () => {})
  try {
    await answerWithin(connectMs + redisCommandMs, client.connect())
    const ask = async (...words: string[]) =>
      String(await answerWithin(redisCommandMs, client.sendCommand(words)))
    const run = /^run_id:(\w{8})/m.exec(await ask('INFO', 'server'))?.[1]
    if (!run) throw new Error('Redis did not tell its run_id')
    assertPrimary(await ask('INFO', 'replication'), address)
    // Refused by one that still reads its data set.
    await ask('PING')
    return { client, address, run, held: await answerWithin(redisCommandMs, begin(client)) }
  } catch (error) {
    client.destroy()
    throw error
  }
}

/**
 * A paused or cut-off Redis says nothing at all, and an old primary nothing of its fall, so they are asked
 * all the time.
 */
export function watch<Client extends NodeClient, Held extends Memory | null>(
  { client, address, held }: Connection<Client, Held>,
  onWrong: (cause: unknown) => void,
): NodeJS.Timeout {
  // It also is what tells us first.
  client.on('error', onWrong)
  const ask = async () => {
    assertPrimary(
      String(await answerWithin(redisCommandMs, client.sendCommand(['INFO', 'replication']))),
      address,
    )
  }
  const beat = setInterval(() => {
    held?.forgetOld()
    ask().catch(onWrong)
  }, askEveryMs)
  return beat.unref()
}

function assertPrimary(info: string, address: Address): void {
  if (!/^role:master/m.test(info)) throw new Error(`${address} is not a primary`)
}
