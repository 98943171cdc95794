// One connection to a primary: its set-up, and the health checks that detect a failure.
import { redisCommandMs } from '../timing.ts'
import { answerWithin, connectMs } from './deadline.ts'
import type { Address } from './redis-url.ts'

/** Silence is therefore detected within 0.7 s. */
const checkEveryMs = 200

/** The part of a node-redis client that a connection needs. */
export interface NodeClient {
  connect(): Promise<unknown>
  destroy(): void
  readonly isReady: boolean
  on(event: 'error', listener: (cause: unknown) => void): unknown
  sendCommand(words: string[]): Promise<unknown>
}

/** The state that a process keeps for one connection. */
export interface ConnectionMemory {
  clear(): void
  /** Called with each health check. */
  evictExpired(): void
}

export interface Connection<Client, State> {
  readonly client: Client
  readonly address: Address
  /** Identifies the Redis process: the beginning of its run_id, which changes with each start. */
  readonly run: string
  readonly state: State
}

/**
 * Connects a client and prepares the state of the connection.
 * @throws the error of the connection, or an error where the server is not a working primary
 */
export async function openConnection<Client extends NodeClient, State>(
  client: Client,
  address: Address,
  begin: (client: Client) => Promise<State>,
): Promise<Connection<Client, State>> {
  // Without a listener, Node would treat a lost connection as an uncaught error.
  client.on('error', () => {})
  try {
    await answerWithin(connectMs + redisCommandMs, client.connect())
    const ask = async (...words: string[]) =>
      String(await answerWithin(redisCommandMs, client.sendCommand(words)))
    const run = /^run_id:(\w{8})/m.exec(await ask('INFO', 'server'))?.[1]
    if (!run) throw new Error('Redis did not report its run_id')
    assertPrimary(await ask('INFO', 'replication'), address)
    // A server that is still loading its data set refuses this command.
    await ask('PING')
    return { client, address, run, state: await answerWithin(redisCommandMs, begin(client)) }
  } catch (error) {
    client.destroy()
    throw error
  }
}

/**
 * Checks a connection several times a second: a paused or unreachable Redis sends nothing, and a demoted
 * primary does not announce it.
 */
export function watch<Client extends NodeClient, State extends ConnectionMemory | null>(
  { client, address, state }: Connection<Client, State>,
  onWrong: (cause: unknown) => void,
): NodeJS.Timeout {
  // The error event is also the first sign of a lost connection.
  client.on('error', onWrong)
  const ask = async () => {
    assertPrimary(
      String(await answerWithin(redisCommandMs, client.sendCommand(['INFO', 'replication']))),
      address,
    )
  }
  const beat = setInterval(() => {
    state?.evictExpired()
    ask().catch(onWrong)
  }, checkEveryMs)
  return beat.unref()
}

function assertPrimary(info: string, address: Address): void {
  if (!/^role:master/m.test(info)) throw new Error(`${address} is not a primary`)
}
