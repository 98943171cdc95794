// Sign-ins per second beside the raw rate of argon2 with the same parameters on as many threads, interleaved
// in one run.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Passwords } from '../src/passwords/password.ts'
import { readSettings } from '../src/settings/settings.ts'
import { startProcess } from '../test/support/app.ts'
import { addAccounts, password } from './accounts.ts'
import { median } from './median.ts'

export interface SignInResult {
  readonly rawPerSecond: number
  readonly signInsPerSecond: number
  /** Sign-ins divided by argon2 alone: the median over the rounds. */
  readonly ratio: number
  readonly parallel: number
}

export interface SignInServiceOptions {
  readonly rounds: number
  /**
   * The number of sign-ins and of hashes: the shorter a round, the less the speed of the machine changes
   * within it.
   */
  readonly perRound: number
  readonly accounts: number
}

/**
 * Measures argon2 alone and whole sign-ins through HTTP alternately, each with the default number of threads;
 * returns medians.
 */
export async function benchSignIn(
  environment: Record<string, string>,
  { rounds, perRound, accounts }: SignInServiceOptions,
): Promise<SignInResult> {
  const settings = readSettings(environment)
  const numbers = await addAccounts(environment, accounts)
  const server = await startProcess(environment, { keepOutput: false })
  const parallel = settings.capacity.passwordParallel
  const passwords = new Passwords({ parallel, queue: parallel })
  // More than can be hashed at once, so that the pool never waits for the network.
  const lines = Array.from(
    { length: 4 * parallel },
    (_, i) => new Line(server.url, fairShare(numbers, i, 4 * parallel)),
  )
  const raw: number[] = []
  const whole: number[] = []
  try {
    const stored = await passwords.hash(password)
    // Two wait for each that is hashed, so that no thread waits for the next one.
    const hashes = Array.from({ length: 2 * parallel }, () => () => passwords.verify(stored, password))
    const hash = () => perSecond(perRound, hashes)
    const signIn = () =>
      perSecond(
        perRound,
        lines.map((line) => () => line.signIn()),
      )
    // A warm-up for the compiler.
    await hash()
    for (let i = 0; i < 3; i++) await signIn()
    for (let round = 0; round < rounds; round++) {
      // Each of the two is first in half of the rounds.
      if (round % 2 === 0) raw.push(await hash())
      whole.push(await signIn())
      if (round % 2 === 1) raw.push(await hash())
    }
  } finally {
    for (const line of lines) line.close()
    await passwords.close()
    await server.stop()
  }
  const ratio = median(whole.map((one, round) => one / (raw[round] ?? Number.NaN)))
  return { rawPerSecond: median(raw), signInsPerSecond: median(whole), ratio, parallel }
}

/** Every n-th item, starting with the i-th. */
export function fairShare<T>(items: readonly T[], i: number, n: number): T[] {
  return items.filter((_, at) => at % n === i)
}

/**
 * Runs a task `count` times with a fixed concurrency, and returns the rate between the first and the last
 * completion. Start-up and the end are left out.
 */
async function perSecond(times: number, works: readonly (() => Promise<unknown>)[]): Promise<number> {
  const ends: number[] = []
  let left = times
  const one = async (work: () => Promise<unknown>) => {
    while (left-- > 0) {
      await work()
      ends.push(performance.now())
    }
  }
  await Promise.all(works.map(one))
  return (times - 1) / (((ends.at(-1) ?? Number.NaN) - (ends[0] ?? Number.NaN)) / 1000)
}

/**
 * Signs in to one account after the other on a connection of its own. An HTTP client library would use more
 * CPU than the server.
 */
export class Line {
  readonly #socket: Socket
  readonly #requests: readonly string[]
  #next = 0

  constructor(url: string, numbers: readonly string[]) {
    this.#socket = connect(Number(new URL(url).port), new URL(url).hostname)
    this.#requests = numbers.map((phone_number) => {
      const body = JSON.stringify({ phone_number, password })
      const headers = `host: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
      return `POST /login HTTP/1.1\r\n${headers}\r\n\r\n${body}`
    })
  }

  async signIn(): Promise<void> {
    this.#socket.write(this.#requests[this.#next++ % this.#requests.length] ?? '')
    let answer = ''
    // The text is one JSON object.
    while (!answer.endsWith('}')) answer += String((await once(this.#socket, 'data'))[0])
    if (!answer.includes('\r\n\r\n{"code":1')) throw new Error(`a sign-in failed: ${answer}`)
  }

  close(): void {
    this.#socket.destroy()
  }
}
