// Copies in this process's own memory, for a database that can tell cheaply whether anything in it has changed: SQLite.
import {
  type Copies,
  type Found,
  type Mark,
  nothingFound,
  type ReadTicket,
  type SessionCopy,
} from './copies.ts'
import { KeptCopies } from './kept-copies.ts'

const maxCopies = 100_000
const noMark: Mark = { id: 'none', sessionIds: [] }

/**
 * Everything is forgotten as soon as anybody, in this process or another, has committed anything. Marks are not
 * needed: a copy is used only after the database has said that it is as it was when the copy was made. It is asked once
 * in each turn of the event loop, and again after each commit of our own; so what another process commits is seen with
 * the requests of the next turn.
 */
export class MemoryCopies implements Copies {
  readonly #readVersion: () => number
  readonly #kept = new KeptCopies(maxCopies)
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

  session(id: string): Found {
    return this.#kept.get(id) ?? nothingFound
  }

  believes(found: Found): boolean {
    return found.isCurrent
  }

  beginRead(): ReadTicket {
    this.refresh()
    return { generation: this.#generation, beganAt: 0, position: 0 }
  }

  fill({ generation }: ReadTicket, copies: readonly SessionCopy[]): void {
    this.refresh()
    if (generation !== this.#generation) return
    for (const value of copies) this.#kept.keep(value.session.id, { value, position: 0, slot: 0 }, Infinity)
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
    this.#kept.forgetAll()
  }
}
