// Sign-ins per second beside the raw rate of argon2 with the same parameters on as many threads, interleaved in one run.
import autocannon from 'autocannon'
import { Passwords } from '../src/accounts/password.ts'
import { readSettings } from '../src/settings.ts'
import { startProcess } from '../test/running.ts'
import { median } from './median.ts'
import { addPeople, password } from './people.ts'

export interface SignInResult {
  readonly rawPerSecond: number
  readonly signInsPerSecond: number
  /** Sign-ins to argon2 alone: the median of each round's own. */
  readonly ratio: number
  readonly parallel: number
}

export interface SignInOptions {
  readonly rounds: number
  readonly secondsPerRound: number
  readonly accounts: number
}

/** Measures argon2 alone and whole sign-ins through HTTP in turn, each with the default number of threads; gives medians. */
export async function benchSignIn(
  environment: Record<string, string>,
  options: SignInOptions,
): Promise<SignInResult> {
  const settings = readSettings(environment)
  const numbers = await addPeople(environment, options.accounts)
  const server = await startProcess(environment, { keepOutput: false })
  const parallel = settings.passwordParallel
  const raw: number[] = []
  const whole: number[] = []
  try {
    await signIns(server.url, numbers, parallel, 1)
    for (let round = 0; round < options.rounds; round++) {
      raw.push(await verifies(parallel, options.secondsPerRound))
      whole.push(await signIns(server.url, numbers, parallel, options.secondsPerRound))
    }
  } finally {
    await server.stop()
  }
  const ratio = median(whole.map((perSecond, round) => perSecond / (raw[round] ?? Number.NaN)))
  return { rawPerSecond: median(raw), signInsPerSecond: median(whole), ratio, parallel }
}

/** argon2 verifications per second, always `parallel` of them at once and the next ones waiting. */
async function verifies(parallel: number, seconds: number): Promise<number> {
  const passwords = new Passwords({ parallel, queue: parallel })
  const stored = await passwords.hash(password)
  const began = performance.now()
  let done = 0
  await Promise.all(
    Array.from({ length: 2 * parallel }, async () => {
      while (performance.now() - began < seconds * 1000) {
        await passwords.verify(stored, password)
        done++
      }
    }),
  )
  const perSecond = done / ((performance.now() - began) / 1000)
  await passwords.close()
  return perSecond
}

async function signIns(
  url: string,
  numbers: readonly string[],
  parallel: number,
  seconds: number,
): Promise<number> {
  const requests = numbers.map(
    (phone_number) =>
      ({
        method: 'POST',
        path: '/login',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ phone_number, password }),
      }) as const,
  )
  const result = await autocannon({
    url,
    // Some more than are hashed at once, so that the pool never waits for the network.
    connections: parallel * 4,
    duration: seconds,
    requests,
    verifyBody: (body) => String(body).startsWith('{"code":1'),
  })
  if (result.non2xx > 0 || result.errors > 0 || result.mismatches > 0) throw new Error('a sign-in failed')
  return result.requests.total / result.duration
}
