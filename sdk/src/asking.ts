// Asks the server in the name of the kept session, and lets go of the session when the server says so.
import type { DeviceProofs } from './device-proofs.ts'
import { HufuError } from './errors.ts'
import { Flights } from './flights.ts'
import type { ForgottenTokens } from './forgotten.ts'
import type { Gate } from './gate.ts'
import type { Keeper } from './keeper.ts'
import { catchUp, type KeptSession, refuse, rotating, succeed } from './kept.ts'
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
  readonly gate: Gate
  readonly forgotten: ForgottenTokens
  readonly proofs: DeviceProofs
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
  readonly proofs: DeviceProofs
  readonly #gate: Gate
  readonly #forgotten: ForgottenTokens
  readonly #onVerified: (session: Session) => void
  readonly #rotations = new Flights<Session>()

  constructor({ connection, keeper, gate, forgotten, proofs, onVerified }: AskingParts) {
    this.connection = connection
    this.keeper = keeper
    this.proofs = proofs
    this.#gate = gate
    this.#forgotten = forgotten
    this.#onVerified = onVerified
  }

  /**
   * Asks with the session's token. Where the token was refused because the session has a newer one, asks again, once.
   * @throws HufuError `token_missing`, without a request, where nobody is signed in
   */
  async ask<T>(question: Question<T>): Promise<Answered<T>> {
    let kept = await this.#finishRotation(await this.#signedIn())
    const attempt = async () => {
      kept = await this.#current(kept)
      return await this.#attempt(kept, question)
    }
    try {
      return await this.#gate.enter(attempt)
    } catch (error) {
      if (!isEnd(error) || !(await this.#hasSuccessor(kept))) throw error
      return await this.#gate.enter(attempt)
    }
  }

  /**
   * Gives the session a new token, and keeps it, when the calls under way are over. A second rotation meanwhile gets
   * the same.
   */
  async rotate(): Promise<Session> {
    const kept = await this.#signedIn()
    return await this.#rotations.join(kept.token, () => this.#gate.alone(() => this.#rotate(kept)))
  }

  async #rotate(kept: KeptSession): Promise<Session> {
    const { token } = await this.#current(kept)
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
    throw this.#tokenMissing()
  }

  #tokenMissing(): HufuError {
    return new HufuError({ code: 'token_missing', message: say('token_missing', this.connection.language) })
  }

  /**
   * The session with its token of now. To be asked within the gate, where no client of the storage is rotating.
   * @throws HufuError `token_missing` where it was signed out meanwhile: whoever is signed in now has not asked
   */
  async #current({ session }: KeptSession): Promise<KeptSession> {
    await this.keeper.change(catchUp).catch(this.connection.onTrouble)
    const now = await this.#signedIn()
    if (now.session.id !== session.id) throw this.#tokenMissing()
    return now
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

  /** Whether the session goes on with another token, which another client may have got. */
  async #hasSuccessor({ token, session }: KeptSession): Promise<boolean> {
    const { known } = this.keeper
    if (known?.is !== 'signed_in' || known.session.id !== session.id) return false
    const now = await this.#finishRotation(known).catch(() => null)
    return now !== null && now.token !== token
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
