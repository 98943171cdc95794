// Ends the sessions of all accounts, one short transaction for each account, with pauses in which other
// requests have the database to themselves. An interrupted run loses nothing: accounts whose sessions
// have ended have none left to end, so the next run skips them.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'
import { AppError } from '../errors.ts'
import { listAccountsWithUnended } from './live-session-rows.ts'
import type { Sessions } from './sessions.ts'

export interface EndOfAllAccountsOptions {
  readonly db: Database
  readonly sessions: Pick<Sessions, 'endLive'>
  /** Sessions that began at this time or later stay (milliseconds since 1970 UTC); null: none. */
  readonly startedBefore: number | null
  /** The number of transactions at once. */
  readonly parallel: number
  /** Called where an account's sessions could not be ended; they are tried again after all others. */
  readonly onFailure: (accountId: string, error: unknown) => void
  /** For tests: how long to wait after a failure; 1,000 by default. */
  readonly afterFailureMs?: number
}

/** The number of accounts in a page. */
const pageSize = 200
/** The pause of a worker after a transaction, as a multiple of the transaction's time. */
const pause = 2
/**
 * Commits whose effect is still to reach every server: where Redis does not answer, each takes a second
 * (timing.ts, `everyoneKnowsMs`), and the next accounts need not wait for it.
 */
const settlingMax = 2_000
/** After this many failures without a success in between, the run gives up: the database is away. */
const failuresInARow = 60
/** The number of failed accounts that are remembered. */
const failedMax = 1_000
/** How often failed accounts are tried again. */
const rounds = 3

export class EndOfAllAccounts {
  readonly #options: EndOfAllAccountsOptions
  readonly #settling = new Set<Promise<void>>()
  readonly #failed = new Map<string, unknown>()
  #inARow = 0
  #accounts = 0
  #sessions = 0

  constructor(options: EndOfAllAccountsOptions) {
    this.#options = options
  }

  /** How many accounts had live sessions, and how many sessions ended, on every server. */
  get ended(): { readonly accounts: number; readonly sessions: number } {
    return { accounts: this.#accounts, sessions: this.#sessions }
  }

  /**
   * Ends the sessions.
   * @returns the accounts whose sessions could not be ended, with the last error of each
   * @throws the error of the database where it does not work for a minute or more
   */
  async run(): Promise<ReadonlyMap<string, unknown>> {
    await this.#endThoseOf(this.#accountIds())
    for (let round = 0; round < rounds && this.#failed.size > 0; round++) {
      const again = [...this.#failed.keys()]
      this.#failed.clear()
      await sleep(this.#afterFailureMs)
      await this.#endThoseOf(iterate(again))
    }
    return this.#failed
  }

  get #afterFailureMs(): number {
    return this.#options.afterFailureMs ?? 1_000
  }

  /** Also where a worker fails, this returns only when nothing is under way any more. */
  async #endThoseOf(accountIds: AsyncGenerator<string>): Promise<void> {
    const workers = Array.from({ length: this.#options.parallel }, () => this.#work(accountIds))
    const results = await Promise.allSettled(workers)
    await Promise.all(this.#settling)
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** Takes account after account from an iterator that all workers share. */
  async #work(accountIds: AsyncGenerator<string>): Promise<void> {
    for await (const accountId of accountIds) {
      const began = performance.now()
      await this.#end(accountId)
      await sleep(pause * (performance.now() - began))
      while (this.#settling.size >= settlingMax) await Promise.race(this.#settling)
    }
  }

  /** Returns after the commit; the rest goes on in `#settling`. */
  async #end(accountId: string): Promise<void> {
    const { sessions, startedBefore } = this.#options
    const { promise: committed, resolve: onCommitted } = Promise.withResolvers<void>()
    const isOver: Promise<void> = sessions
      .endLive({ accountId, reason: 'kicked', by: null, startedBefore, onCommitted })
      .then((count) => this.#noteEnded(count))
      .catch((error: unknown) => this.#noteFailure(accountId, error))
      .finally(() => this.#settling.delete(isOver))
    this.#settling.add(isOver)
    await Promise.race([committed, isOver])
    if (this.#inARow === 0) return
    if (this.#inARow >= failuresInARow || this.#failed.size >= failedMax)
      throw [...this.#failed.values()].at(-1)
    await sleep(this.#afterFailureMs)
  }

  #noteEnded(count: number): void {
    this.#inARow = 0
    if (count === 0) return
    this.#accounts++
    this.#sessions += count
  }

  #noteFailure(accountId: string, error: unknown): void {
    // The account was removed meanwhile, with its sessions.
    if (error instanceof AppError && error.code === 'account_not_found') return
    this.#inARow++
    this.#failed.set(accountId, error)
    this.#options.onFailure(accountId, error)
  }

  /** The accounts that may have live sessions, in the order of their ids. */
  async *#accountIds(): AsyncGenerator<string> {
    for (let after: string | null = ''; after !== null; ) {
      await nextTurn()
      const page = await this.#page(after)
      yield* page.ids
      after = page.next
    }
  }

  /** A page, tried again for as long as the writes are. */
  async #page(after: string): ReturnType<typeof listAccountsWithUnended> {
    const { db, startedBefore } = this.#options
    for (let failures = 0; ; ) {
      try {
        return await listAccountsWithUnended(db, { after, startedBefore, limit: pageSize })
      } catch (error) {
        if (++failures >= pageTries) throw error
        await sleep(this.#afterFailureMs)
      }
    }
  }
}

const pageTries = 20

async function* iterate(ids: readonly string[]): AsyncGenerator<string> {
  yield* ids
}
