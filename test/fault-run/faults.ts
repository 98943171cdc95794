// What a fault is, and those that any deployment can have: of servers and of their clocks.
import { setTimeout as sleep } from 'node:timers/promises'
import type { HufuServer, Deployment } from './deployment.ts'

export interface Fault<S extends Deployment = Deployment> {
  readonly name: string
  /** Nothing is broken between servers and stores: the strict bounds hold. */
  readonly isCalm?: true
  /** It certainly makes requests fail: if none failed, the fault did not happen. */
  readonly isFelt?: true
  /** While it lasts, servers disagree about how much time has passed. */
  readonly movesClock?: true
  /** Why it cannot be done here; null where it can. */
  missing?(deployment: S): string | null
  /** Breaks it, lets it be broken for a while, and heals it. */
  run(deployment: S, later: Later): Promise<void>
}

/** Asks at the end of the scenario what is left of a fault, in words; nothing should be. */
export type Later = (ask: () => Promise<string[]>) => void

/** Longer than anything is remembered without asking: copies 1 s, lines 0.7 s. */
export const brokenMs = 2_000

export const nothing: Fault = { name: 'nothing', isCalm: true, run: () => sleep(brokenMs).then(() => {}) }

export const serverFaults: readonly Fault[] = [
  { name: 'a server is killed', isFelt: true, run: ({ servers: [server] }) => server.restart('SIGKILL') },
  {
    name: 'a server is told to stop',
    isFelt: true,
    run: ({ servers }) => (servers[1] ?? servers[0]).restart('SIGTERM'),
  },
  {
    name: 'a server is paused',
    run: ({ servers: [server] }) => paused((signal) => server.process.child.kill(signal)),
  },
  {
    name: 'the clock of one server jumps an hour ahead',
    isCalm: true,
    movesClock: true,
    run: (deployment) => clockJumps(deployment, hourMs),
  },
  {
    name: 'the clock of one server jumps an hour back',
    isCalm: true,
    movesClock: true,
    run: (deployment) => clockJumps(deployment, -hourMs),
  },
]

const hourMs = 3_600_000

export async function paused(send: (signal: 'SIGSTOP' | 'SIGCONT') => unknown): Promise<void> {
  await send('SIGSTOP')
  await sleep(brokenMs)
  await send('SIGCONT')
}

export async function overAndOver(work: () => Promise<unknown>): Promise<void> {
  const failures: unknown[] = []
  const times = 5
  for (let i = 0; i < times; i++) {
    // It may have ended its own connection.
    await work().catch((error) => failures.push(error))
    await sleep(brokenMs / times)
  }
  if (failures.length === times) throw failures[0]
}

async function clockJumps({ servers: [server], db }: Deployment, offsetMs: number): Promise<void> {
  await jump(server, offsetMs)
  await sleep(brokenMs)
  const far = Date.now() + offsetMs / 2
  const rows = db
    .selectFrom('hufu_sessions')
    .select('id')
    .where('created_at', offsetMs > 0 ? '>' : '<', far)
  const giveUpAt = performance.now() + 10_000
  // On a busy machine it may take a while until a client signs in there.
  while ((await rows.limit(1).execute()).length === 0) {
    if (performance.now() > giveUpAt) throw new Error('no session was begun by the clock that jumped')
    await sleep(100)
  }
  await jump(server, 0)
}

/** It is set when the signal has been handled, which nothing tells. */
async function jump(server: HufuServer, offsetMs: number): Promise<void> {
  server.setClock(offsetMs)
  await sleep(50)
}
