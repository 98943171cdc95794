// Tokens that were signed out on this device: the server is told of each until it has heard.
import { HufuError } from './errors.ts'
import { Flights } from './flights.ts'
import type { Keeper } from './keeper.ts'
import { finish } from './kept.ts'
import { type Connection, send } from './send.ts'
import { nothingOf } from './wire.ts'

export class ForgottenTokens {
  readonly #connection: Connection
  readonly #keeper: Keeper
  readonly #telling = new Flights<void>()

  constructor(connection: Connection, keeper: Keeper) {
    this.#connection = connection
    this.#keeper = keeper
  }

  /** Tells the server of every token that waits, once. Never fails: who was not told now is told later. */
  async endAll(): Promise<void> {
    await Promise.all((this.#keeper.known?.toEnd ?? []).map((token) => this.end(token)))
  }

  /** Tells the server of one token. Never fails. */
  end(token: string): Promise<void> {
    return this.#telling.join(token, () => this.#tell(token))
  }

  async #tell(token: string): Promise<void> {
    try {
      await send(this.#connection, { method: 'POST', path: '/v1/session/end', token, read: nothingOf })
    } catch (error) {
      const isOver = error instanceof HufuError && error.signedOut !== null
      if (!isOver) return
    }
    // Where the storage fails, the token stays on the list, and the server is told once more.
    await this.#keeper.change(finish(token)).catch(this.#connection.onTrouble)
  }
}
