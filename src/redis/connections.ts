// The connections to Redis, with constant health checks: one to its primary, or one to each primary of a
// cluster. A connection with a problem counts as absent; no request waits for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { redisCommandMs } from '../timing.ts'
import { ClusterDown, readShards, redirectionOf, type Shard, slotCount, slotOf } from './cluster.ts'
import {
  type Connection,
  type ConnectionMemory,
  type NodeClient,
  openConnection,
  watch,
} from './connection.ts'
import { answerWithin } from './deadline.ts'
import { findShards } from './discovery.ts'
import { type Address, type RedisLocation, urlOf } from './redis-url.ts'
import { isLastingRefusal } from './refusal.ts'

const firstRetryMs = 100
const lastRetryMs = 2_000
/** Sentinels and clusters are queried while everything works, too: a demoted primary does not announce it. */
const discoverEveryMs = 2_000
/** The second redirection finds a slot that moves meanwhile. */
const maxRedirections = 3

/**
 * Must send its first command synchronously, because ASKING applies to the next command on the connection.
 */
type Command<Client, State, T> = (connection: Connection<Client, State>) => Promise<T>

/** `refused`: Redis answers, but refuses the commands, and keeps doing so. */
export type RedisState = 'ok' | 'out_of_reach' | 'refused'

/** A change of the state: the primaries in use now, or the last failure. */
export type RedisReport =
  | { readonly state: 'ok'; readonly primaries: readonly Address[] }
  | { readonly state: Exclude<RedisState, 'ok'>; readonly cause: unknown }

type Slots<Client, State> = (Connection<Client, State> | null)[]

export interface RedisConnectionsOptions<Client, State> {
  readonly place: RedisLocation
  readonly newClient: (url: string) => Client
  /** Prepares the state of a new connection, before any caller uses it. */
  readonly begin: (client: Client) => Promise<State>
  /**
   * Called at the end of the first attempt, when all of Redis becomes reachable, and when a part of it does
   * not answer or refuses the commands.
   */
  readonly onChange?: ((report: RedisReport) => void) | undefined
}

/**
 * Keeps one connection to each primary, and a new client for each connection: the old one's queue, memory and
 * run id must never meet another Redis process. `connectionFor` is null from the moment when anything looks
 * wrong.
 *
 * node-redis has createSentinel and createCluster. They hide which process answers, queue commands, and retry
 * them. Each of these would be an error here: a cache entry from before the fail-over, or a mark that is set
 * after the commit.
 */
export class RedisConnections<Client extends NodeClient, State extends ConnectionMemory | null> {
  readonly #options: RedisConnectionsOptions<Client, State>
  #shards: readonly Shard[] = []
  /** The primaries of the last successful discovery. */
  #known: readonly Address[] = []
  readonly #connections = new Map<Address, Connection<Client, State>>()
  readonly #healthChecks = new Map<Connection<Client, State>, NodeJS.Timeout>()
  /** The connections by slot; without a cluster there is one slot. */
  #slots: Slots<Client, State>
  #generation = 0
  #mustReconcile = false
  #notified: RedisState | null = null
  #wake: () => void = () => {}
  #closed = false

  constructor(options: RedisConnectionsOptions<Client, State>) {
    this.#options = options
    this.#slots = Array.from({ length: options.place.kind === 'cluster' ? slotCount : 1 }, () => null)
  }

  /** Changes whenever another Redis process may serve a key. */
  get generation(): number {
    return this.#generation
  }

  /** Drops the state of all connections; the connections stay open. */
  clear(): void {
    for (const { state } of this.#connections.values()) state?.clear()
  }

  /** The connection to the primary of a key; null where there is none. */
  connectionFor(key: string): Connection<Client, State> | null {
    return this.#slots[this.#slots.length === 1 ? 0 : slotOf(key)] ?? null
  }

  /** Whether every key is reachable. */
  isReachable(): boolean {
    const ofShards = this.#shards.map(({ from, to }) => to - from + 1)
    const areAll = ofShards.reduce((sum, slots) => sum + slots, 0) === this.#slots.length
    return areAll && this.#shards.every(({ address }) => this.#connections.has(address))
  }

  /** The state of the connections, with the reason of the last failure. */
  get state(): RedisState {
    if (this.isReachable()) return 'ok'
    return this.#notified === 'refused' ? 'refused' : 'out_of_reach'
  }

  /** Tries to connect once. Further attempts go on in the background until `close`. */
  async connect(): Promise<void> {
    await this.#reconcile()
    void this.#keepReconciling()
  }

  /**
   * Runs a command on a key, and follows the redirections of a cluster: a redirected command was not
   * executed.
   * @throws where no answer comes in time; the command may then have been executed
   */
  async ask<T>(key: string, command: Command<Client, State, T>): Promise<T> {
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

  /** Handles the failure of a command: closes the connection, unless another node serves the slot. */
  failed(connection: Connection<Client, State>, key: string, cause: unknown): void {
    const redirection = this.#options.place.kind === 'cluster' ? redirectionOf(cause) : null
    if (redirection === null) this.drop(connection, cause)
    else if (redirection.kind === 'moved') this.#misplaced(connection, key, redirection.address)
    else if (redirection.kind === 'down') this.#misplaced(connection, key, null)
  }

  /** Closes a connection after a failure, and starts to reconnect. */
  drop(connection: Connection<Client, State>, cause: unknown): void {
    if (!this.#remove(connection)) return
    this.#rebuildSlots()
    this.#notify(cause)
    this.#wake()
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const connection of [...this.#connections.values()]) this.#remove(connection)
    this.#rebuildSlots()
    this.#wake()
  }

  #remove(connection: Connection<Client, State>): boolean {
    if (this.#connections.get(connection.address) !== connection) return false
    this.#connections.delete(connection.address)
    clearInterval(this.#healthChecks.get(connection))
    this.#healthChecks.delete(connection)
    connection.state?.clear()
    connection.client.destroy()
    return true
  }

  /**
   * Handles a redirection: the connection does not serve the slot of the key. `address`: the new primary, or
   * null where there is none.
   */
  #misplaced(connection: Connection<Client, State>, key: string, address: Address | null): void {
    const slot = slotOf(key)
    if (this.#slots[slot] !== connection) return
    this.#slots[slot] = (address !== null && this.#connections.get(address)) || null
    this.#generation++
    // Since the slot has moved, the connection has not received announcements of changes in it.
    connection.state?.clear()
    this.#mustReconcile = true
    this.#wake()
  }

  async #keepReconciling(): Promise<void> {
    for (let waitMs = firstRetryMs; !this.#closed; ) {
      if (this.#isComplete()) await this.#waitForCheck()
      if (!this.#isComplete()) await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { ref: false })
      if (this.#closed) return
      await this.#reconcile()
      waitMs = this.#isComplete() ? firstRetryMs : Math.min(lastRetryMs, waitMs * 2)
    }
  }

  #isComplete(): boolean {
    return !this.#mustReconcile && this.isReachable()
  }

  /** Resolves when the next discovery is due, or after a failure. */
  async #waitForCheck(): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    const forMs = this.#options.place.kind === 'one' ? 2 ** 30 : discoverEveryMs
    await sleep(forMs, undefined, { signal: woken.signal, ref: false }).catch(() => {})
    this.#wake = () => {}
  }

  /** Discovers the primaries, and connects to those without a connection. */
  async #reconcile(): Promise<void> {
    this.#mustReconcile = false
    let failure: unknown
    try {
      const shards = await this.#findShards()
      this.#known = shards.map(({ address }) => address)
      this.#applyTopology(shards)
    } catch (error) {
      failure = error
      // Unreachable sentinels change nothing. A cluster that reports that it is down has no primaries.
      if (error instanceof ClusterDown) this.#applyTopology([])
    }
    const missing = new Set(this.#shards.map(({ address }) => address))
    for (const address of this.#connections.keys()) missing.delete(address)
    const opened = await Promise.allSettled([...missing].map((address) => this.#open(address)))
    for (const outcome of opened) if (outcome.status === 'rejected') failure = outcome.reason
    this.#notify(failure)
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

  /** Applies a new topology. */
  #applyTopology(shards: readonly Shard[]): void {
    const before = new Map([...this.#connections.values()].map((one) => [one, this.#slotsOf(one.address)]))
    this.#shards = shards
    for (const [connection, slots] of before) {
      const now = this.#slotsOf(connection.address)
      if (now === '') this.#remove(connection)
      // The node no longer announces changes in slots that it has lost.
      else if (now !== slots) connection.state?.clear()
    }
    this.#rebuildSlots()
  }

  #slotsOf(wanted: Address): string {
    return this.#shards
      .flatMap(({ from, to, address }) => (address === wanted ? [`${from}-${to}`] : []))
      .join()
  }

  #rebuildSlots(): void {
    const slots: Slots<Client, State> = this.#slots.map(() => null)
    for (const { from, to, address } of this.#shards)
      slots.fill(this.#connections.get(address) ?? null, from, to + 1)
    if (slots.some((connection, i) => connection !== this.#slots[i])) this.#generation++
    this.#slots = slots
  }

  #notify(cause: unknown): void {
    const state = this.isReachable() ? 'ok' : isLastingRefusal(cause) ? 'refused' : 'out_of_reach'
    if (this.#closed || state === this.#notified) return
    this.#notified = state
    if (state === 'ok') this.#options.onChange?.({ state, primaries: [...this.#connections.keys()] })
    else this.#options.onChange?.({ state, cause })
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
    this.#healthChecks.set(
      connection,
      watch(connection, (cause) => this.drop(connection, cause)),
    )
    this.#rebuildSlots()
  }
}

/**
 * Runs a command for a slot that is being migrated to this node. ASKING applies to the next command on the
 * connection only.
 */
async function asking<Client extends NodeClient, State, T>(
  connection: Connection<Client, State>,
  command: Command<Client, State, T>,
): Promise<T> {
  const [, answer] = await Promise.all([connection.client.sendCommand(['ASKING']), command(connection)])
  return answer
}
