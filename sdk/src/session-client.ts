// The client: asks the server in the name of the kept session, and lets go of the session when the server says so.
import type { ClientState, HufuClient } from './contract.ts'
import { HufuError } from './errors.ts'
import { ForgottenTokens } from './forgotten.ts'
import { Keeper } from './keeper.ts'
import { begin, type Kept, leave, refuse, tokenOf, update } from './kept.ts'
import { type Listener, Listeners } from './listeners.ts'
import type { Session, SignedIn, SignedOut, SignInInput } from './models.ts'
import { type Call, type Connection, send } from './send.ts'
import type { HufuStorage } from './storage.ts'
import { Turns } from './turns.ts'
import { issuedOf, newSession, sessionsOf, signedInOf } from './wire.ts'
import { say } from './words.ts'

type Question<T> = Omit<Call<T>, 'token'>

export class SessionClient implements HufuClient {
  readonly #connection: Connection
  readonly #keeper: Keeper
  readonly #forgotten: ForgottenTokens
  readonly #signedIn = new Listeners<SignedIn>()
  readonly #signedOut = new Listeners<SignedOut>()
  // Sign-ins and sign-outs take effect in the order of the calls: the last one is what the person wanted.
  readonly #wishes = new Turns()
  #state: ClientState = { is: 'unknown' }

  constructor(connection: Connection, storage: HufuStorage) {
    this.#connection = connection
    this.#keeper = new Keeper(storage, (before, after) => this.#tell(before, after))
    this.#forgotten = new ForgottenTokens(connection, this.#keeper)
  }

  get state(): ClientState {
    const state = stateOf(this.#keeper.known)
    if (JSON.stringify(state) !== JSON.stringify(this.#state)) this.#state = state
    return this.#state
  }

  readonly ready = async (): Promise<ClientState> => {
    await this.#keeper.load()
    void this.#forgotten.endAll()
    return this.state
  }

  readonly signIn = (input: SignInInput): Promise<SignedIn> => this.#wishes.take(() => this.#signIn(input))

  readonly me = async (): Promise<SignedIn> => {
    const { answer, token } = await this.#ask({ method: 'GET', path: '/v1/session', read: signedInOf })
    // The answer is good, whether or not it can be remembered.
    await this.#keeper.change(update(token, answer)).catch(() => {})
    return answer
  }

  readonly devices = async (): Promise<readonly Session[]> => {
    const { answer } = await this.#ask({ method: 'GET', path: '/v1/sessions', read: sessionsOf })
    return answer
  }

  readonly endDevice = async (id: string): Promise<void> => {
    const kept = await this.#keeper.load()
    if (kept.is === 'signed_in' && kept.session.id === id) return await this.signOut()
    const read = (answer: object | null) => (answer === null ? true : null)
    await this.#ask({ method: 'DELETE', path: '/v1/sessions/{id}', id, read })
  }

  readonly signOut = async (): Promise<void> => {
    try {
      await this.#wishes.take(() => this.#signOutLocally())
    } finally {
      await this.#forgotten.endAll()
    }
  }

  readonly onSignedIn = (listener: Listener<SignedIn>): (() => void) => this.#signedIn.add(listener)

  readonly onSignedOut = (listener: Listener<SignedOut>): (() => void) => this.#signedOut.add(listener)

  async #signIn(input: SignInInput): Promise<SignedIn> {
    // Listeners hear of a change, so the state before has to be known; where it cannot be read it is written over.
    await this.#keeper.load().catch(() => {})
    const issued = await send(this.#connection, {
      method: 'POST',
      path: '/v1/sessions',
      body: newSession(input),
      token: null,
      read: issuedOf,
    })
    const { token, account, session } = issued
    try {
      await this.#keeper.change(begin(issued), { unreadable: 'overwrite' })
    } catch (error) {
      // A session that cannot be kept must not live on without an owner.
      void this.#forgotten.end(token)
      throw error
    }
    void this.#forgotten.endAll()
    return { account, session }
  }

  async #signOutLocally(): Promise<void> {
    await this.#keeper.load()
    await this.#keeper.change(leave)
  }

  /** @throws HufuError `token_missing`, without a request, where nobody is signed in */
  async #ask<T>(question: Question<T>): Promise<{ answer: T; token: string }> {
    const token = tokenOf(await this.#keeper.load())
    if (token === null) {
      throw new HufuError({ code: 'token_missing', title: say('token_missing', this.#connection.language) })
    }
    try {
      const answer = await send(this.#connection, { ...question, token })
      void this.#forgotten.endAll()
      return { answer, token }
    } catch (error) {
      if (error instanceof HufuError && error.signedOut) await this.#refused(token, error.signedOut)
      throw error
    }
  }

  async #refused(token: string, why: SignedOut): Promise<void> {
    // Where the storage fails, the next start is refused again; the caller has to hear of the refusal.
    await this.#keeper.change(refuse(token, why)).catch(() => {})
  }

  #tell(before: Kept | null, after: Kept): void {
    if (tokenOf(before) === tokenOf(after)) return
    if (after.is === 'signed_in') {
      this.#signedIn.tell({ account: after.account, session: after.session })
    } else {
      this.#signedOut.tell(after.why ?? this.#endedHere())
    }
  }

  #endedHere(): SignedOut {
    const { clock, language } = this.#connection
    const at = new Date(clock.now()).toISOString()
    return { reason: 'signed_out', at, by: null, message: say('signed_out', language) }
  }
}

function stateOf(kept: Kept | null): ClientState {
  if (kept === null) return { is: 'unknown' }
  if (kept.is === 'signed_out') return { is: 'signed_out', why: kept.why }
  return { is: 'signed_in', account: kept.account, session: kept.session }
}
