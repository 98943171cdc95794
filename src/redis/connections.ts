// The connections to Redis, watched all the time: one to its primary, or one to each primary of a cluster. A
// connection with a problem counts as absent; no request waits for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { redisCommandMs } from '../timing.ts'
import { ClusterDown, readShards, redirectionOf, type Shard, slotCount, slotOf } from './cluster.ts'
import { type Connection, type Memory, type NodeClient, openConnection, watch } from './connection.ts'
import { answerWithin } from './deadline.ts'
import { findShards } from './discovery.ts'
import { type Address, type RedisLocation, urlOf } from './redis-url.ts'
import { isLastingRefusal } from './refusal.ts'

const firstRetryMs = 100
const lastRetryMs = 2_000
/**
 * While all is well, sentinels and clusters are asked whether it still is: an old primary does not know that
 * it is one.
 */
const lookEveryMs = 2_000
/** A slot that moves while it is asked for is found with the second one. */
const maxRedirections = 3

/** Sends its first command before it waits for anything. */
type Command<Client, Held, T> = (connection: Connection<Client, Held>) => Promise<T>

/** `refused`: Redis answers, but refuses our commands; waiting does not change that. */
export type RedisState = 'ok' | 'out_of_reach' | 'refused'

type Slots<Client, Held> = (Connection<Client, Held> | null)[]

export interface RedisConnectionsOptions<Client, Held> {
  readonly place: RedisLocation
  readonly newClient: (url: string) => Client
  /** Prepares the state of a new connection, before any caller uses it. */
  readonly begin: (client: Client) => Promise<Held>
  /**
   * Called when all of Redis becomes reachable, and with a cause when a part of it does not answer or refuses
   * our commands.
   */
  readonly onChange?: ((state: RedisState, cause?: unknown) => void) | undefined
}

/**
 * Keeps one connection to each primary, and a new client for each connection: the old one's queue, memory and
 * run id must never meet another Redis process. `connectionFor` is null from the moment when anything looks
 * wrong.
 *
 * node-redis has createSentinel and createCluster. They hide which process answers, keep commands for later,
 * and try them again; here each of these would be a wrong answer: a copy of before the fail-over, a mark that
 * is set after the commit.
 */
export class RedisConnections<Client extends NodeClient, Held extends Memory | null> {
  readonly #options: RedisConnectionsOptions<Client, Held>
  #shards: readonly Shard[] = []
  /** Of the last time when anybody said where they are. */
  #known: readonly Address[] = []
  readonly #connections = new Map<Address, Connection<Client, Held>>()
  readonly #beats = new Map<Connection<Client, Held>, NodeJS.Timeout>()
  /** By slot; where there is no cluster, there is one. */
  #slots: Slots<Client, Held>
  #generation = 0
  #mustLook = false
  #told: RedisState | null = null
  #wake: () => void = () => {}
  #closed = false

  constructor(options: RedisConnectionsOptions<Client, Held>) {
    this.#options = options
    this.#slots = Array.from({ length: options.place.kind === 'cluster' ? slotCount : 1 }, () => null)
  }

  /** Changes whenever anything has changed about which Redis process has which keys. */
  get generation(): number {
    return this.#generation
  }

  /** Forgets what this process remembers; the connections stay. */
  forgetAll(): void {
    for (const { held } of this.#connections.values()) held?.forgetAll()
  }

  /** The connection to the primary that has a key. */
  connectionFor(key: string): Connection<Client, Held> | null {
    return this.#slots[this.#slots.length === 1 ? 0 : slotOf(key)] ?? null
  }

  /** Whether every key is reachable. */
  isReachable(): boolean {
    const ofShards = this.#shards.map(({ from, to }) => to - from + 1)
    const areAll = ofShards.reduce((sum, slots) => sum + slots, 0) === this.#slots.length
    return areAll && this.#shards.every(({ address }) => this.#connections.has(address))
  }

  /** Why not every key is reachable, as far as the last try showed. */
  get state(): RedisState {
    if (this.isReachable()) return 'ok'
    return this.#told === 'refused' ? 'refused' : 'out_of_reach'
  }

  /** One try now; if it fails, further tries go on in the background until `close`. */
  async connect(): Promise<void> {
    await this.#look()
    void this.#keepLooking()
  }

  /**
   * Runs a command on a key. In a cluster, one that is sent elsewhere has not been done, and is done there.
   * @throws where no answer comes in time; whether it was done is then not known
   */
  async ask<T>(key: string, command: Command<Client, Held, T>): Promise<T> {
    const until = performance.now() + redisCommandMs
    let connection = this.connectionFor(key)
    let work = command
    for (let redirections = 0; ; redirections++) {
      if (!connection) throw new Error('Redis is out of reach')
      try {
        return await answerWithin(until - performance.now(), work(connection))
      } catch (error) {
        this.failed(connection, key, error)
        const redirection = redirectionOf(error)
        if (!redirection || redirection.kind === 'down' || redirections === maxRedirections) throw error
        connection = this.#connections.get(redirection.address) ?? null
        work = redirection.kind === 'ask' ? (there) => asking(there, command) : command
      }
    }
  }

  /**
   * A command was refused or not answered: the connection is given up, unless it is only that its slot is
   * elsewhere.
   */
  failed(connection: Connection<Client, Held>, key: string, cause: unknown): void {
    const redirection = this.#options.place.kind === 'cluster' ? redirectionOf(cause) : null
    if (redirection === null) this.drop(connection, cause)
    else if (redirection.kind === 'moved') this.#misplaced(connection, key, redirection.address)
    else if (redirection.kind === 'down') this.#misplaced(connection, key, null)
  }

  /** Gives a connection up, because something about it was wrong, and looks for a new one. */
  drop(connection: Connection<Client, Held>, cause: unknown): void {
    if (!this.#remove(connection)) return
    this.#place()
    this.#tell(cause)
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const connection of [...this.#connections.values()]) this.#remove(connection)
    this.#place()
    this.#wake()
  }

  #remove(connection: Connection<Client, Held>): boolean {
    if (this.#connections.get(connection.address) !== connection) return false
    this.#connections.delete(connection.address)
    clearInterval(this.#beats.get(connection))
    this.#beats.delete(connection)
    connection.held?.forgetAll()
    connection.client.destroy()
    return true
  }

  /** The slot of a key is not where it was thought to be; `address` is where it is said to be. */
  #misplaced(connection: Connection<Client, Held>, key: string, address: Address | null): void {
    const slot = slotOf(key)
    if (this.#slots[slot] !== connection) return
    this.#slots[slot] = (address !== null && this.#connections.get(address)) || null
    this.#generation++
    // The connection got no announcement of changes in this slot since the slot had moved away.
    connection.held?.forgetAll()
    this.#mustLook = true
    this.#wake()
  }

  async #keepLooking(): Promise<void> {
    for (let waitMs = firstRetryMs; !this.#closed; ) {
      if (this.#isWell()) await this.#calm()
      if (!this.#isWell()) await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { ref: false })
      if (this.#closed) return
      await this.#look()
      waitMs = this.#isWell() ? firstRetryMs : Math.min(lastRetryMs, waitMs * 2)
    }
  }

  #isWell(): boolean {
    return !this.#mustLook && this.isReachable()
  }

  /** Resolves when it is time to look, or when something is wrong. */
  async #calm(): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    const forMs = this.#options.place.kind === 'one' ? 2 ** 30 : lookEveryMs
    await sleep(forMs, undefined, { signal: woken.signal, ref: false }).catch(() => {})
    this.#wake = () => {}
  }

  /** Finds out where the primaries are, and connects to those that are missing. */
  async #look(): Promise<void> {
    this.#mustLook = false
    let failure: unknown
    try {
      const shards = await this.#findShards()
      this.#known = shards.map(({ address }) => address)
      this.#lay(shards)
    } catch (error) {
      failure = error
      // Sentinels that are away take nothing with them. A cluster that says so itself does.
      if (error instanceof ClusterDown) this.#lay([])
    }
    const missing = new Set(this.#shards.map(({ address }) => address))
    for (const address of this.#connections.keys()) missing.delete(address)
    const opened = await Promise.allSettled([...missing].map((address) => this.#open(address)))
    for (const outcome of opened) if (outcome.status === 'rejected') failure = outcome.reason
    this.#tell(failure)
  }

  async #findShards(): Promise<Shard[]> {
    const { place } = this.#options
    if (place.kind !== 'cluster') return await findShards(place)
    const open = [...this.#connections.values()].map(({ client, address }) =>
      answerWithin(
        redisCommandMs,
        readShards((words) => client.sendCommand(words), address),
      ),
    )
    return await Promise.any(open).catch(() => findShards(place, this.#known))
  }

  /** From now on the primaries are these. */
  #lay(shards: readonly Shard[]): void {
    const before = new Map([...this.#connections.values()].map((one) => [one, this.#slotsOf(one.address)]))
    this.#shards = shards
    for (const [connection, slots] of before) {
      const now = this.#slotsOf(connection.address)
      if (now === '') this.#remove(connection)
      // The connection announces no changes in a slot that it no longer has.
      else if (now !== slots) connection.held?.forgetAll()
    }
    this.#place()
  }

  #slotsOf(wanted: Address): string {
    return this.#shards
      .flatMap(({ from, to, address }) => (address === wanted ? [`${from}-${to}`] : []))
      .join()
  }

  #place(): void {
    const slots: Slots<Client, Held> = this.#slots.map(() => null)
    for (const { from, to, address } of this.#shards)
      slots.fill(this.#connections.get(address) ?? null, from, to + 1)
    if (slots.some((connection, i) => connection !== this.#slots[i])) this.#generation++
    this.#slots = slots
  }

  #tell(cause: unknown): void {
    const state = this.isReachable() ? 'ok' : isLastingRefusal(cause) ? 'refused' : 'out_of_reach'
    if (this.#closed || state === this.#told) return
    this.#told = state
    if (state === 'ok') this.#options.onChange?.(state)
    else this.#options.onChange?.(state, cause)
  }

  async #open(address: Address): Promise<void> {
    const { place, newClient, begin } = this.#options
    const client = newClient(urlOf(place.nodes, address))
    const connection = await openConnection(client, address, begin)
    if (this.#closed || !client.isReady) {
      client.destroy()
      throw new Error('the connection was lost again')
    }
    this.#connections.set(address, connection)
    this.#beats.set(
      connection,
      watch(connection, (cause) => this.drop(connection, cause)),
    )
    this.#place()
  }
}

/**
 * A command for a slot that is on its way to this node. It holds for the very next command on the connection.
 */
async function asking<Client extends NodeClient, Held, T>(
  connection: Connection<Client, Held>,
  command: Command<Client, Held, T>,
): Promise<T> {
  const [, answer] = await Promise.all([connection.client.sendCommand(['ASKING']), command(connection)])
  return answer
}
