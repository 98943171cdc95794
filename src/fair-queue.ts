// A queue that is shared out among the classes of work: a class that floods it takes neither the turns nor
// the places that are the share of another one.
import { currentPlace, type QueueClass } from './queue-order.ts'

/** The turns that each class gets while all of them wait. What one does not need, the others have. */
const shares: Readonly<Record<QueueClass, number>> = { known: 6, counted: 3, changing: 2, reading: 1 }

interface Waiting<Item> {
  readonly item: Item
  readonly isTransaction: boolean
}

/** The work of one class that waits, in the order in which it came. */
interface Line<Item> {
  readonly share: number
  /** A Set keeps the order of insertion, and removes from the middle at once. */
  readonly waiting: Set<Waiting<Item>>
  /** The line with the most credit has the next turn. */
  credit: number
}

export class FairQueue<Item> {
  readonly #lines: Readonly<Record<QueueClass, Line<Item>>> = {
    known: lineOf('known'),
    counted: lineOf('counted'),
    changing: lineOf('changing'),
    reading: lineOf('reading'),
  }
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds work of the present class. @returns removes it */
  add(item: Item): () => void {
    const { queueClass, isTransaction } = currentPlace()
    const line = this.#lines[queueClass]
    const waiting = { item, isTransaction }
    line.waiting.add(waiting)
    this.#size++
    return () => this.#remove(line, waiting)
  }

  /** Whether `makeRoom` would find work that makes room. */
  canMakeRoom(): boolean {
    return this.#leastDue() !== null
  }

  /**
   * For work of the present class, in a full queue: removes the newest work of the class that exceeds its
   * share the most. A transaction goes before the reads of its own class, because it completes what other
   * work has begun.
   * @returns the removed work; undefined: the work of the present class itself finds no room
   */
  makeRoom(): Item | undefined {
    const found = this.#leastDue()
    if (found) this.#remove(found.line, found.waiting)
    return found?.waiting.item
  }

  /** Takes the work whose turn it is: smooth weighted round robin over the lines in which work waits. */
  next(): Item | undefined {
    const lines = Object.values(this.#lines).filter(({ waiting }) => waiting.size > 0)
    for (const line of lines) line.credit += line.share
    const [chosen] = lines.toSorted((a, b) => b.credit - a.credit)
    if (!chosen) return undefined
    chosen.credit -= lines.reduce((sum, { share }) => sum + share, 0)
    const [first] = chosen.waiting
    if (first) this.#remove(chosen, first)
    return first?.item
  }

  #remove(line: Line<Item>, waiting: Waiting<Item>): void {
    if (line.waiting.delete(waiting)) this.#size--
  }

  #leastDue(): { readonly line: Line<Item>; readonly waiting: Waiting<Item> } | null {
    const { queueClass, isTransaction } = currentPlace()
    const own = this.#lines[queueClass]
    const excess = (line: Line<Item>) => (line.waiting.size + (line === own ? 1 : 0)) / line.share
    const [line = own] = Object.values(this.#lines).toSorted((a, b) => excess(b) - excess(a))
    const reads = [...line.waiting].filter((one) => !one.isTransaction)
    if (line === own && !isTransaction) return null
    const waiting = reads.at(-1) ?? (line === own ? undefined : [...line.waiting].at(-1))
    return waiting ? { line, waiting } : null
  }
}

function lineOf<Item>(queueClass: QueueClass): Line<Item> {
  return { share: shares[queueClass], waiting: new Set(), credit: 0 }
}
