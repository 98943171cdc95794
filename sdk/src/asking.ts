// Asks the server in the name of the kept session, and lets go of the session when the server says so.
import { HufuError } from './errors.ts'
import { Flights } from './flights.ts'
import type { ForgottenTokens } from './forgotten.ts'
import type { Keeper } from './keeper.ts'
import { type KeptSession, refuse, rotating, succeed } from './kept.ts'
import type { Session } from './models.ts'
import { type Call, type Connection, send } from './send.ts'
import { issuedOf } from './wire.ts'
import { say } from './words.ts'

export type Question<T> = Omit<Call<T>, 'token'>

export interface Answered<T> {
  readonly answer: T
  /** The token that was asked with. */
  readonly token: string
}

export interface AskingParts {
  readonly connection: Connection
  readonly keeper: Keeper
  readonly forgotten: ForgottenTokens
  /** The server has said yes to this session. */
  onVerified(session: Session): void
}

const rotate: Question<{ token: string; session: Session }> = {
  method: 'POST',
  path: '/v1/session/rotate',
  read: issuedOf,
}

export class Asking {
  readonly connection: Connection
  readonly keeper: Keeper
  readonly #forgotten: ForgottenTokens
  readonly #onVerified: (session: Session) => void
  readonly #rotations = new Flights<Session>()

  constructor({ connection, keeper, forgotten, onVerified }: AskingParts) {
    this.connection = connection
    this.keeper = keeper
    this.#forgotten = forgotten
    this.#onVerified = onVerified
  }

  /**
   * Asks with the session's token. Where the token was refused because the session has a newer one, asks again, once.
   * @throws HufuError `token_missing`, without a request, where nobody is signed in
   */
  async ask<T>(question: Question<T>): Promise<Answered<T>> {
    const kept = await this.#finishRotation(await this.#signedIn())
    try {
      return await this.#attempt(kept, question)
    } catch (error) {
      const successor = isEnd(error) ? await this.#successorOf(kept) : null
      if (!successor) throw error
      return await this.#attempt(successor, question)
    }
  }

  /** Gives the session a new token, and keeps it. A second call meanwhile gets the same. */
  async rotate(): Promise<Session> {
    const { token } = await this.#signedIn()
    return await this.#rotations.join(token, () => this.#rotate(token))
  }

  async #rotate(token: string): Promise<Session> {
    // Kept first: whoever dies before the answer asks again at the next start, and gets the same successor.
    await this.keeper.change(rotating(token, true))
    try {
      const issued = await send(this.connection, { ...rotate, token })
      await this.keeper.change(succeed(token, issued))
      this.#answered(issued.session)
      return issued.session
    } catch (error) {
      const { onTrouble } = this.connection
      if (isEnd(error)) {
        await this.keeper.change(refuse(token, error.signedOut, { isLast: true })).catch(onTrouble)
      } else if (isRefusal(error)) {
        await this.keeper.change(rotating(token, false)).catch(onTrouble)
      }
      throw error
    }
  }

  async #attempt<T>(kept: KeptSession, question: Question<T>): Promise<Answered<T>> {
    const { token, session } = kept
    try {
      const answer = await send(this.connection, { ...question, token })
      this.#answered(session)
      return { answer, token }
    } catch (error) {
      // Where the storage fails, the next start is refused again; the caller has to hear of the refusal.
      if (isEnd(error))
        await this.keeper.change(refuse(token, error.signedOut)).catch(this.connection.onTrouble)
      throw error
    }
  }

  #answered(session: Session): void {
    this.#onVerified(session)
    void this.#forgotten.endAll()
  }

  async #signedIn(): Promise<KeptSession> {
    const kept = await this.keeper.load()
    if (kept.is === 'signed_in') return kept
    const { language } = this.connection
    throw new HufuError({ code: 'token_missing', message: say('token_missing', language) })
  }

  /** While a rotation is open, nobody knows how long the old token is good for. */
  async #finishRotation(kept: KeptSession): Promise<KeptSession> {
    if (!kept.rotating) return kept
    try {
      await this.rotate()
    } catch (error) {
      if (isEnd(error) || !isRefusal(error)) throw error
    }
    return await this.#signedIn()
  }

  /** The session of `kept` with another token, which another call or another client may have got; null where there is none. */
  async #successorOf(kept: KeptSession): Promise<KeptSession | null> {
    const { known } = this.keeper
    if (known?.is !== 'signed_in' || known.session.id !== kept.session.id) return null
    const now = await this.#finishRotation(known).catch(() => null)
    return now && now.token !== kept.token ? now : null
  }
}

type End = HufuError & { readonly signedOut: NonNullable<HufuError['signedOut']> }

/** Whether the server said that the session of the token is over. */
function isEnd(error: unknown): error is End {
  return error instanceof HufuError && error.signedOut !== null
}

/** Whether the server said no, so that surely nothing was done. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof HufuError) || error.status === null || error.code === 'not_hufu') return false
  return error.status >= 400 && error.status < 500
}
