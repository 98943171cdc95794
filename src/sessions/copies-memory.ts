// Copies in this process's own memory, for a database that can tell cheaply whether anything in it has changed: SQLite.
import type { AccountCopy, Copies, CopiesToWrite, Found, Mark, ReadTicket, SessionCopy } from './copies.ts'
import { KeptCopies } from './kept-copies.ts'

const maxCopies = 100_000
const nothing: Found<never> = { value: null, isCurrent: false }
const noMark: Mark = { id: 'none', names: [] }

/**
 * Everything is forgotten as soon as anybody, in this process or another, has committed anything. Marks are not
 * needed: a copy is used only after the database has said that it is as it was when the copy was made. It is asked once
 * in each turn of the event loop, and again after each commit of our own; so what another process commits is seen with
 * the requests of the next turn.
 */
export class MemoryCopies implements Copies {
  readonly #readVersion: () => number
  readonly #sessions = new KeptCopies<SessionCopy>(maxCopies)
  readonly #accounts = new KeptCopies<AccountCopy>(maxCopies)
  #version = Number.NaN
  #isChecked = false
  /** Counts how often everything was forgotten. */
  #generation = 0

  /** @param readVersion a number that is another one after every commit of another connection */
  constructor(readVersion: () => number) {
    this.#readVersion = readVersion
  }

  refresh(): void {
    if (this.#isChecked) return
    let version = Number.NaN
    try {
      version = this.#readVersion()
    } catch {
      // Without an answer nothing is known; the read of the truth that follows says what is wrong.
    }
    if (version !== this.#version) {
      this.#version = version
      this.#forgetAll()
    }
    this.#isChecked = true
    setImmediate(this.#endOfTurn)
  }

  session(id: string): Found<SessionCopy> {
    return this.#sessions.get(id) ?? nothing
  }

  account(id: string): Found<AccountCopy> {
    return this.#accounts.get(id) ?? nothing
  }

  beginRead(): ReadTicket {
    this.refresh()
    return { run: 'memory', beganAt: this.#generation, position: 0 }
  }

  fill({ beganAt }: ReadTicket, copies: CopiesToWrite): void {
    this.refresh()
    if (beganAt !== this.#generation) return
    for (const [name, value] of copies) {
      if ('tokenHash' in value) this.#sessions.keep(name.slice('session:'.length), value, Infinity)
      else this.#accounts.keep(name.slice('account:'.length), value, Infinity)
    }
  }

  async mark(): Promise<Mark> {
    return noMark
  }

  async confirm(): Promise<void> {}

  async settle(): Promise<void> {
    // Something was committed in this turn, and nobody has been told yet.
    this.#isChecked = false
  }

  isReachable(): boolean {
    return true
  }

  async close(): Promise<void> {}

  readonly #endOfTurn = (): void => {
    this.#isChecked = false
  }

  #forgetAll(): void {
    this.#generation++
    this.#sessions.forgetAll()
    this.#accounts.forgetAll()
  }
}
