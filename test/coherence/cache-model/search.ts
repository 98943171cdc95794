// Breadth-first search over all reachable states of a model. It finds the shortest trace to a wrong state.

/** A possible step: its actor, its name, and its change. */
export type Offer<S> = (actor: string, verb: string, change: (next: S) => void) => void

/** States are kept as a few 32-bit words each, because there are millions of them. */
export interface Model<S> {
  readonly words: number
  /** A new state object with the values of the start. */
  start(): S
  pack(state: S, into: Int32Array, at: number): void
  unpack(from: Int32Array, at: number, into: S): void
  offerSteps(state: S, offer: Offer<S>): void
  /** The fault of a state; null where there is none. */
  findFault(state: S): string | null
}

export interface Searched {
  readonly states: number
  /** The steps of the shortest trace to a wrong state, and its fault; null where no state is wrong. */
  readonly trace: readonly string[] | null
}

/** @throws if there are more than `maxStates` states: an incomplete search proves nothing */
export function search<S>(model: Model<S>, maxStates = 8_000_000): Searched {
  const visited = new Visited(model.words)
  const [state, next, packed] = [model.start(), model.start(), new Int32Array(model.words)]
  model.pack(state, packed, 0)
  visited.add(packed, -1)
  let at = 0
  const offer: Offer<S> = (_actor, _verb, change) => {
    model.unpack(visited.words, at * model.words, next)
    change(next)
    model.pack(next, packed, 0)
    visited.add(packed, at)
  }
  for (; at < visited.count; at++) {
    if (visited.count > maxStates) throw new Error(`more than ${maxStates} states`)
    model.unpack(visited.words, at * model.words, state)
    const fault = model.findFault(state)
    if (fault !== null) return { states: visited.count, trace: [...traceTo(model, visited, at), fault] }
    model.offerSteps(state, offer)
  }
  return { states: visited.count, trace: null }
}

/** The names of the steps to a state: for each state on the way, the step of its parent that leads there. */
function traceTo<S>(model: Model<S>, visited: Visited, last: number): string[] {
  const trace: string[] = []
  const [state, next, packed] = [model.start(), model.start(), new Int32Array(model.words)]
  for (let child = last; visited.parentOf(child) >= 0; child = visited.parentOf(child)) {
    const parentAt = visited.parentOf(child) * model.words
    model.unpack(visited.words, parentAt, state)
    let name = '?'
    model.offerSteps(state, (actor, verb, change) => {
      model.unpack(visited.words, parentAt, next)
      change(next)
      model.pack(next, packed, 0)
      if (visited.holds(child, packed)) name = `${actor} ${verb}`
    })
    trace.unshift(name)
  }
  return trace
}

/**
 * A set of states, as a hash table without objects. Each state has its number and the number of the state
 * that it was first reached from.
 */
class Visited {
  readonly #wordsEach: number
  words: Int32Array
  #parents: Int32Array
  /** The number of a state plus one; 0: free. */
  #table: Int32Array
  count = 0

  constructor(wordsEach: number) {
    this.#wordsEach = wordsEach
    this.words = new Int32Array(wordsEach << 14)
    this.#parents = new Int32Array(1 << 14)
    this.#table = new Int32Array(1 << 15)
  }

  parentOf(index: number): number {
    return this.#parents[index] ?? -1
  }

  holds(index: number, packed: Int32Array): boolean {
    const from = index * this.#wordsEach
    for (let i = 0; i < this.#wordsEach; i++) if (this.words[from + i] !== packed[i]) return false
    return true
  }

  add(packed: Int32Array, parent: number): void {
    let slot = this.#slotOf(packed, 0)
    for (let found = this.#table[slot]; found; found = this.#table[slot]) {
      if (this.holds(found - 1, packed)) return
      slot = (slot + 1) & (this.#table.length - 1)
    }
    this.words.set(packed, this.count * this.#wordsEach)
    this.#parents[this.count] = parent
    this.count++
    this.#table[slot] = this.count
    if (this.count === this.#parents.length) this.#grow()
  }

  #slotOf(words: Int32Array, from: number): number {
    let hash = 0
    for (let i = 0; i < this.#wordsEach; i++) {
      hash = Math.imul(hash ^ (words[from + i] ?? 0), 0x9e3779b1)
      hash ^= hash >>> 15
    }
    return hash & (this.#table.length - 1)
  }

  #grow(): void {
    this.words = doubled(this.words)
    this.#parents = doubled(this.#parents)
    this.#table = new Int32Array(this.#parents.length * 2)
    for (let index = 0; index < this.count; index++) {
      let slot = this.#slotOf(this.words, index * this.#wordsEach)
      while (this.#table[slot]) slot = (slot + 1) & (this.#table.length - 1)
      this.#table[slot] = index + 1
    }
  }
}

function doubled(list: Int32Array): Int32Array {
  const longer = new Int32Array(list.length * 2)
  longer.set(list)
  return longer
}
