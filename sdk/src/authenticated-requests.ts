// Sends requests with the token of the stored session, and ends the session when the server has ended it.
import type { DeviceProofs } from './device-proofs.ts'
import { HufuError } from './errors.ts'
import type { ForgottenTokens } from './forgotten.ts'
import { say } from './messages.ts'
import type { Session } from './models.ts'
import type { ReadWriteLock } from './read-write-lock.ts'
import { type Call, type Connection, send } from './send.ts'
import type { SessionStore } from './session-store.ts'
import { Singleflight } from './singleflight.ts'
import { catchUp, refuse, rotating, type StoredSession, succeed } from './stored-state.ts'
import { issuedOf } from './wire.ts'

export type Question<T> = Omit<Call<T>, 'token'>

export interface Answered<T> {
  readonly answer: T
  /** The token of the request. */
  readonly token: string
}

export interface RequestParts {
  readonly connection: Connection
  readonly store: SessionStore
  readonly lock: ReadWriteLock
  readonly forgotten: ForgottenTokens
  readonly proofs: DeviceProofs
  /** Called when the server has confirmed this session. */
  onVerified(session: Session): void
}

const rotate: Question<{ token: string; session: Session }> = {
  method: 'POST',
  path: '/v1/session/rotate',
  read: issuedOf,
}

export class AuthenticatedRequests {
  readonly connection: Connection
  readonly store: SessionStore
  readonly proofs: DeviceProofs
  readonly #lock: ReadWriteLock
  readonly #forgotten: ForgottenTokens
  readonly #onVerified: (session: Session) => void
  readonly #rotations = new Singleflight<Session>()

  constructor({ connection, store, lock, forgotten, proofs, onVerified }: RequestParts) {
    this.connection = connection
    this.store = store
    this.proofs = proofs
    this.#lock = lock
    this.#forgotten = forgotten
    this.#onVerified = onVerified
  }

  /**
   * Sends a request with the session's token. If the token is refused because the session has a newer one,
   * the request is repeated once.
   * @throws HufuError `token_missing`, without a request, where no session is signed in
   */
  async ask<T>(question: Question<T>): Promise<Answered<T>> {
    let stored = await this.#finishRotation(await this.#signedIn())
    const attempt = async () => {
      stored = await this.#current(stored)
      return await this.#attempt(stored, question)
    }
    try {
      return await this.#lock.shared(attempt)
    } catch (error) {
      if (!isEnd(error) || !(await this.#hasSuccessor(stored))) throw error
      return await this.#lock.shared(attempt)
    }
  }

  /**
   * Gives the session a new token and stores it, after the calls under way. Concurrent rotations get the same
   * token.
   */
  async rotate(): Promise<Session> {
    const stored = await this.#signedIn()
    return await this.#rotations.join(stored.token, () => this.#lock.exclusive(() => this.#rotate(stored)))
  }

  async #rotate(stored: StoredSession): Promise<Session> {
    const { token } = await this.#current(stored)
    // Stored first: a client that stops before the response repeats the request at the next start, and gets
    // the same token.
    await this.store.change(rotating(token, true))
    try {
      const issued = await send(this.connection, { ...rotate, token })
      await this.store.change(succeed(token, issued))
      this.#answered(issued.session)
      return issued.session
    } catch (error) {
      const { onBackgroundError } = this.connection
      if (isEnd(error)) {
        await this.store.change(refuse(token, error.signedOut, { isLast: true })).catch(onBackgroundError)
      } else if (isRefusal(error)) {
        await this.store.change(rotating(token, false)).catch(onBackgroundError)
      }
      throw error
    }
  }

  async #attempt<T>(stored: StoredSession, question: Question<T>): Promise<Answered<T>> {
    const { token, session } = stored
    try {
      const answer = await send(this.connection, { ...question, token })
      this.#answered(session)
      return { answer, token }
    } catch (error) {
      // If the storage fails, the next start is refused again. The caller must get the refusal.
      if (isEnd(error))
        await this.store.change(refuse(token, error.signedOut)).catch(this.connection.onBackgroundError)
      throw error
    }
  }

  #answered(session: Session): void {
    this.#onVerified(session)
    void this.#forgotten.endAll()
  }

  async #signedIn(): Promise<StoredSession> {
    const stored = await this.store.load()
    if (stored.is === 'signed_in') return stored
    throw this.#tokenMissing()
  }

  #tokenMissing(): HufuError {
    return new HufuError({ code: 'token_missing', message: say('token_missing', this.connection.language) })
  }

  /**
   * The session with its current token. Call it while holding the lock, so that no client of the storage is
   * rotating.
   * @throws HufuError `token_missing` where the session was signed out meanwhile: the request must not use
   * another session
   */
  async #current({ session }: StoredSession): Promise<StoredSession> {
    await this.store.change(catchUp).catch(this.connection.onBackgroundError)
    const now = await this.#signedIn()
    if (now.session.id !== session.id) throw this.#tokenMissing()
    return now
  }

  /** While a rotation has no response, the old token may become invalid at any moment. */
  async #finishRotation(stored: StoredSession): Promise<StoredSession> {
    if (!stored.rotating) return stored
    try {
      await this.rotate()
    } catch (error) {
      if (isEnd(error) || !isRefusal(error)) throw error
    }
    return await this.#signedIn()
  }

  /** Whether the session has another token, which another client may have received. */
  async #hasSuccessor({ token, session }: StoredSession): Promise<boolean> {
    const { known } = this.store
    if (known?.is !== 'signed_in' || known.session.id !== session.id) return false
    const now = await this.#finishRotation(known).catch(() => null)
    return now !== null && now.token !== token
  }
}

type End = HufuError & { readonly signedOut: NonNullable<HufuError['signedOut']> }

/** Whether the server said that the session of the token has ended. */
function isEnd(error: unknown): error is End {
  return error instanceof HufuError && error.signedOut !== null
}

/** Whether the server refused the request, so that it certainly had no effect. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof HufuError) || error.status === null || error.code === 'not_hufu') return false
  return error.status >= 400 && error.status < 500
}
