// The client's sessions: the signed-in session, whether the server has confirmed it, and the listeners of its
// changes.
import { assertFields, assertText } from './arguments.ts'
import { AuthenticatedRequests } from './authenticated-requests.ts'
import type { ClientState, SessionCalls } from './contract.ts'
import { DeviceProofs } from './device-proofs.ts'
import { ForgottenTokens } from './forgotten.ts'
import type { SignInInput } from './inputs.ts'
import { type Listener, Listeners } from './listeners.ts'
import { say } from './messages.ts'
import type { NewSignIn, Session, SignedIn, SignedOut } from './models.ts'
import { lockOf } from './read-write-lock.ts'
import { type Connection, send } from './send.ts'
import { SerialQueue } from './serial-queue.ts'
import { SessionStore } from './session-store.ts'
import { SignIns } from './sign-ins.ts'
import { Singleflight } from './singleflight.ts'
import type { HufuStorage } from './storage.ts'
import {
  begin,
  finish,
  follow,
  leave,
  type Step,
  type StoredState,
  sessionIdOf,
  tokenOf,
  update,
} from './stored-state.ts'
import { bareAccount, newSession, newSignInOf, nothingOf, sessionsOf, signedInOf } from './wire.ts'

export class SessionClient implements SessionCalls {
  readonly #connection: Connection
  readonly #store: SessionStore
  readonly #forgotten: ForgottenTokens
  readonly #requests: AuthenticatedRequests
  readonly #states: Listeners<ClientState>
  readonly #signedIn: Listeners<SignedIn>
  readonly #signedOut: Listeners<SignedOut>
  readonly #checks = new Singleflight<SignedIn>()
  // Sign-ins and sign-outs take effect in the order of the calls: the last one is what the person wanted.
  readonly #queue = new SerialQueue()
  readonly #signIns: SignIns
  readonly #proofs: DeviceProofs
  #state: ClientState = { is: 'unknown' }
  /** Id of the session that the server has confirmed since this client was created. */
  #verified: string | null = null
  /** A sign-out that no listener was called with yet. */
  #lost: SignedOut | null = null

  constructor(connection: Connection, storage: HufuStorage) {
    const { onBackgroundError } = connection
    this.#connection = connection
    this.#states = new Listeners(onBackgroundError)
    this.#signedIn = new Listeners(onBackgroundError)
    this.#signedOut = new Listeners(onBackgroundError)
    this.#store = new SessionStore(storage, {
      onRead: () => this.#tellRead(),
      onLost: () => {
        this.#lost = this.#endedHere('storage_lost')
        return this.#lost
      },
      onChange: (before, after) => this.#tell(before, after),
      onBackgroundError,
    })
    this.#forgotten = new ForgottenTokens(connection, this.#store)
    this.#proofs = new DeviceProofs(storage, onBackgroundError)
    this.#requests = new AuthenticatedRequests({
      connection,
      store: this.#store,
      lock: lockOf(storage),
      forgotten: this.#forgotten,
      proofs: this.#proofs,
      onVerified: ({ id }) => this.#verify(id),
    })
    this.#signIns = new SignIns({ ...connection, current: () => sessionIdOf(this.#store.known) })
    storage.watch?.(() => void this.#follow())
  }

  get state(): ClientState {
    return this.#state
  }

  /** For the calls that are not about sessions. */
  static requestsOf(client: SessionClient): AuthenticatedRequests {
    return client.#requests
  }

  readonly start = async (): Promise<ClientState> => {
    const stored = await this.#store.load()
    void this.#forgotten.endAll()
    if (stored.is === 'signed_in') void this.#checkInBackground(stored.token)
    return this.state
  }

  readonly signIn = async (input: SignInInput): Promise<NewSignIn> => {
    const proofs = { password: 'text or nothing', code: 'text or nothing' } as const
    assertFields('signIn', input, { phoneNumber: 'text', ...proofs, nickname: 'text or nothing' })
    return await this.#signIns.run(input, (key) =>
      this.#queue.take(async () => this.#signIn(input, await key())),
    )
  }

  readonly me = async (): Promise<SignedIn> => {
    const token = tokenOf(await this.#store.load())
    return await this.#checks.join(token ?? '', () => this.#me())
  }

  readonly devices = async (): Promise<readonly Session[]> => {
    const { answer } = await this.#requests.ask({ method: 'GET', path: '/v1/sessions', read: sessionsOf })
    return answer
  }

  readonly endDevice = async (id: string): Promise<void> => {
    assertText('endDevice', 'id', id)
    if (sessionIdOf(await this.#store.load()) === id) return await this.signOut()
    await this.#requests.ask({ method: 'POST', path: '/v1/sessions/{id}/end', id, read: nothingOf })
  }

  readonly endOtherDevices = async (): Promise<void> => {
    await this.#requests.ask({ method: 'POST', path: '/v1/sessions/end', read: nothingOf })
  }

  readonly rotate = (): Promise<Session> => this.#requests.rotate()

  readonly signOut = async (): Promise<void> => {
    this.#signIns.forget()
    try {
      await this.#queue.take(() => this.#signOutLocally())
    } finally {
      await this.#forgotten.endAll()
    }
  }

  readonly signOutEverywhere = async (): Promise<void> => {
    const call = { method: 'POST', path: '/v1/sessions/end', query: '?all=true', read: nothingOf } as const
    const { token } = await this.#requests.ask(call)
    await this.#store.change(finish(token))
  }

  readonly subscribe = (listener: Listener<ClientState>): (() => void) => this.#states.add(listener)

  readonly onSignedIn = (listener: Listener<SignedIn>): (() => void) => this.#signedIn.add(listener)

  readonly onSignedOut = (listener: Listener<SignedOut>): (() => void) => this.#signedOut.add(listener)

  async #signIn(input: SignInInput, idempotencyKey: string | null): Promise<NewSignIn> {
    // Listeners are called with a change, so the state before it has to be known. A state that cannot be read
    // is overwritten.
    await this.#store.load().catch(this.#connection.onBackgroundError)
    const issued = await send(this.#connection, {
      method: 'POST',
      path: '/v1/sessions',
      body: { ...newSession(input), ...(await this.#proofs.find(input.phoneNumber)) },
      idempotencyKey,
      token: null,
      read: newSignInOf,
    })
    const { token, account, session, created, deviceProof } = issued
    const verified = this.#verified
    this.#verified = session.id
    try {
      await this.#store.change(begin(issued), { unreadable: 'overwrite' })
    } catch (error) {
      this.#verified = verified
      // A session that cannot be stored must not stay alive, because no client has its token.
      void this.#forgotten.end(token)
      throw error
    }
    await this.#proofs.keep([account.phoneNumber ?? input.phoneNumber, input.phoneNumber], deviceProof)
    void this.#forgotten.endAll()
    return { account, session, created }
  }

  /** Never fails: an offline client stays signed in, and a refusal shows in the state. */
  async #checkInBackground(token: string): Promise<void> {
    const isOld = this.#checks.isUnderWay(token)
    try {
      await this.me()
    } catch {
      // A check from before the app was suspended may have died with its connection.
      if (isOld) await this.me().catch(() => {})
    }
  }

  async #me(): Promise<SignedIn> {
    const question = { method: 'GET', path: '/v1/session', read: signedInOf } as const
    const { answer, token } = await this.#requests.ask(question)
    // The response is valid, whether or not it can be stored.
    await this.#store.change(update(token, answer)).catch(this.#connection.onBackgroundError)
    const { known } = this.#store
    const isKnown = known?.is === 'signed_in' && known.account.id === answer.account.id
    const account = isKnown ? known.account : bareAccount(answer.account)
    return { session: answer.session, account: { ...account, ...answer.account } }
  }

  async #signOutLocally(): Promise<void> {
    await this.#store.load()
    await this.#store.change(leave)
  }

  /** Another program has changed the storage: another tab, for example. */
  async #follow(): Promise<void> {
    if (!this.#store.known) return
    let isGone = false
    const look: Step = (stored, known) => {
      isGone = tokenOf(stored) === null
      return follow(stored, known)
    }
    await this.#store.change(look).catch(this.#connection.onBackgroundError)
    const { known } = this.#store
    // An emptied storage proves nothing: another tab empties it when it signs out, and so may something else.
    // The server knows.
    if (known.is === 'signed_in' && (isGone || known.session.id !== this.#verified)) {
      await this.#checkInBackground(known.token)
    }
  }

  #verify(sessionId: string): void {
    this.#verified = sessionId
    this.#settle()
  }

  #tellRead(): void {
    this.#settle()
    const lost = this.#lost
    this.#lost = null
    if (lost) this.#signedOut.tell(lost)
  }

  #settle(): void {
    const state = stateOf(this.#store.known, this.#verified)
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return
    this.#state = state
    this.#states.tell(state)
  }

  #tell(before: StoredState | null, after: StoredState): void {
    const isSame = sessionIdOf(before) === sessionIdOf(after)
    this.#settle()
    if (isSame) return
    if (after.is === 'signed_in') {
      this.#signedIn.tell({ account: after.account, session: after.session })
    } else {
      this.#signedOut.tell(after.why ?? this.#endedHere('signed_out'))
    }
  }

  #endedHere(reason: 'signed_out' | 'storage_lost'): SignedOut {
    const { clock, language } = this.#connection
    const at = new Date(clock.now()).toISOString()
    return { reason, at, byDevice: null, message: say(reason, language) }
  }
}

function stateOf(stored: StoredState | null, verified: string | null): ClientState {
  if (stored === null) return { is: 'unknown' }
  if (stored.is === 'signed_out') {
    return { is: 'signed_out', ...(stored.why ?? { reason: null, at: null, byDevice: null, message: null }) }
  }
  const { account, session } = stored
  return { is: 'signed_in', account, session, verified: session.id === verified }
}
