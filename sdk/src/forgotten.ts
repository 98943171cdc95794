// Tokens that were signed out on this device: each is sent to the server until the server has ended it.
import { HufuError } from './errors.ts'
import { type Connection, send } from './send.ts'
import type { SessionStore } from './session-store.ts'
import { Singleflight } from './singleflight.ts'
import { finish } from './stored-state.ts'
import { nothingOf } from './wire.ts'

export class ForgottenTokens {
  readonly #connection: Connection
  readonly #store: SessionStore
  readonly #telling = new Singleflight<void>()

  constructor(connection: Connection, store: SessionStore) {
    this.#connection = connection
    this.#store = store
  }

  /** Sends the sign-out of every waiting token once. Never fails: what cannot be sent now is sent later. */
  async endAll(): Promise<void> {
    await Promise.all((this.#store.known?.toEnd ?? []).map((token) => this.end(token)))
  }

  /** Sends the sign-out of one token. Never fails. */
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
    // If the storage fails, the token stays on the list, and its sign-out is sent once more.
    await this.#store.change(finish(token)).catch(this.#connection.onBackgroundError)
  }
}
