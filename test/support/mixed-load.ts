// The requests of many apps at once: sign in, read the session, list the devices, sign out.
import { setTimeout as sleep } from 'node:timers/promises'

export interface Failure {
  readonly request: string
  /** null: no response. */
  readonly status: number | null
  /** The code of the problem, or the error of the connection. */
  readonly code: string
}

interface Step {
  readonly request: string
  readonly status: number
  readonly code?: string
  readonly token?: string
  readonly body?: object
}

/**
 * The limit of sign-ins of a number within ten minutes; once all are used, the load continues without
 * sign-ins.
 */
const signInsPerNumber = 30
/**
 * The pause of a client after each response, without which the clients would take the CPU from the servers.
 */
const pauseMs = 20
/** Tokens that each client keeps; beyond these, the oldest is signed out. */
const kept = 3

/** Clients that each use tokens of their own, so that every refusal is an error. */
export class MixedLoad {
  /** Requests with an unexpected response. */
  readonly failures: Failure[] = []
  /** Tokens of acknowledged sign-ins whose sign-out was not sent yet. */
  readonly live = new Set<string>()
  /** Tokens whose sign-out was acknowledged. */
  readonly ended = new Set<string>()
  /** Requests with the expected response, counted. */
  readonly counts: Record<string, number> = {}
  readonly #url: string
  readonly #people: readonly string[]
  readonly #password: string
  #signIns = 0
  #done = 0
  #waiting: { readonly at: number; readonly resolve: () => void }[] = []
  #stopping = false
  #clients: Promise<void>[] = []

  constructor(url: string, people: readonly string[], password: string) {
    this.#url = url
    this.#people = people
    this.#password = password
  }

  start(clients: number): void {
    this.#clients = Array.from({ length: clients }, () => this.#client())
  }

  /** Resolves after this many more responses. */
  async more(requests: number): Promise<void> {
    const at = this.#done + requests
    await Promise.race([
      new Promise<void>((resolve) => this.#waiting.push({ at, resolve })),
      // A failure of the load generator must not look like a slow server.
      Promise.all(this.#clients).then(() => Promise.reject(new Error('the clients have stopped'))),
    ])
  }

  /** Waits until each client has finished its request. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  async #client(): Promise<void> {
    const tokens: string[] = []
    while (!this.#stopping) {
      const issued = await this.#signIn()
      if (issued !== null) tokens.push(issued)
      // No account may sign in any more, and there is no token.
      if (tokens.length === 0) return
      for (const token of [...tokens, ...tokens])
        await this.#ask({ request: 'GET /v1/session', status: 200, token })
      for (const token of tokens) await this.#ask({ request: 'GET /v1/sessions', status: 200, token })
      if (tokens.length > kept) await this.#signOut(tokens.shift() ?? '')
    }
  }

  async #signIn(): Promise<string | null> {
    const turn = this.#signIns++
    if (turn >= this.#people.length * signInsPerNumber) return null
    const person = turn % this.#people.length
    const body = {
      phone_number: this.#people[person],
      password: this.#password,
      device: { platform: 'ios' },
    }
    const answer = await this.#ask({ request: 'POST /v1/sessions', status: 201, body }, person)
    if (answer === null) return null
    // A sign-in with status 201 has a token.
    const { token } = answer as { token: string }
    this.live.add(token)
    return token
  }

  async #signOut(token: string): Promise<void> {
    this.live.delete(token)
    if ((await this.#ask({ request: 'DELETE /v1/session', status: 204, token })) === null) return
    this.ended.add(token)
    await this.#ask({ request: 'GET /v1/session', status: 401, code: 'session_signed_out', token })
  }

  /** The body of the response; null, and a further failure, if it is unexpected. */
  async #ask(step: Step, person = 0): Promise<object | null> {
    const { status, code, body } = await this.#send(step, person).catch((error: Error) => ({
      status: null,
      code: String(error.cause ?? error),
      body: null,
    }))
    const isRight = status === step.status && (step.code === undefined || step.code === code)
    const name = `${step.request} ${step.status}`
    if (isRight) this.counts[name] = (this.counts[name] ?? 0) + 1
    else this.failures.push({ request: step.request, status, code })
    this.#done++
    for (const { resolve } of this.#waiting.filter(({ at }) => at <= this.#done)) resolve()
    this.#waiting = this.#waiting.filter(({ at }) => at > this.#done)
    await sleep(pauseMs)
    return isRight ? body : null
  }

  async #send({ request, token, body }: Step, person: number) {
    const [method = '', path = ''] = request.split(' ')
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        // Each account has a network of its own: nginx appends its own address, which Hufu trusts.
        'x-forwarded-for': `198.51.${person}.7`,
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    // Every response of Hufu with a body is a JSON object; nginx's own responses are HTML.
    const answer = (isJson ? JSON.parse(text) : {}) as { code?: string }
    return { status: response.status, code: answer.code ?? text.slice(0, 80), body: answer }
  }
}
