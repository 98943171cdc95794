// The position of the last change of each account, in a table that never grows: a look into it is one number, in each check.

/** Each is 8 bytes. */
const defaultSlots = 2 ** 18

/**
 * Accounts share slots. Who shares one with an account that changed counts as changed as well, and is read anew: that costs
 * a read, and lets nobody in.
 */
export class ChangedAccounts {
  readonly #positions: Float64Array

  /** @param slots a power of two */
  constructor(slots = defaultSlots) {
    this.#positions = new Float64Array(slots)
  }

  /** Where an account stands; the same for as long as this lives. */
  slotOf(accountId: string): number {
    // FNV-1a (draft-eastlake-fnv); its low bits are good enough to choose by.
    let hash = 0x811c9dc5
    for (let i = 0; i < accountId.length; i++) hash = Math.imul(hash ^ accountId.charCodeAt(i), 0x01000193)
    return hash & (this.#positions.length - 1)
  }

  note(accountId: string, position: number): void {
    const slot = this.slotOf(accountId)
    // In the order of positions, but for those few that were open.
    if (position > this.lastOf(slot)) this.#positions[slot] = position
  }

  /** The position of the last change in a slot; 0: none. */
  lastOf(slot: number): number {
    return this.#positions[slot] ?? 0
  }
}
