// What a fault is, and the faults of servers and their clocks, which apply to any deployment.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Deployment, HufuServer } from './deployment.ts'
import type { Loss } from './losses.ts'

export interface Fault<S extends Deployment = Deployment> {
  readonly name: string
  /** Nothing between servers and stores is broken, so the strict bounds of the checker apply. */
  readonly hasStrictBounds?: true
  /** It must make requests fail; if none fails, the fault did not happen. */
  readonly mustFailRequests?: true
  /** During it, servers disagree about how much time has passed. */
  readonly movesClock?: true
  /** Within this time after the repair, sign-ins must succeed on each server. */
  readonly healsWithinMs?: number
  /** Why the fault cannot be injected here; null if it can. */
  whySkipped?(deployment: S): string | null
  /** Injects the fault, waits, and repairs it. */
  run(deployment: S, report: FaultReport): Promise<void>
}

/** What a fault reports beside its interval. */
interface FaultReport {
  /** Registers a check for the end of the scenario; it returns sentences about what the fault left behind. */
  checkAtEnd(ask: () => Promise<string[]>): void
  /** The database has lost commits. */
  lost(loss: Loss): void
}

/**
 * Longer than any server serves from memory without asking: entries are fresh for 1 s, connections time out
 * after 0.7 s.
 */
export const faultMs = 2_000

/** A store that can be ended and started again. */
interface Restartable<Signal> {
  restart(signal: Signal, downMs: number): Promise<void>
}

/**
 * A store ends with a signal, and is away for long enough that requests fail: a restart alone can be faster
 * than the next request.
 */
export async function restartStore<Signal>(store: Restartable<Signal>, signal: Signal): Promise<void> {
  await store.restart(signal, faultMs / 2)
}

export const noFault: Fault = {
  name: 'no fault',
  hasStrictBounds: true,
  run: () => sleep(faultMs).then(() => {}),
}

export const serverFaults: readonly Fault[] = [
  {
    name: 'a server is killed',
    mustFailRequests: true,
    run: ({ servers: [server] }) => server.restart('SIGKILL'),
  },
  {
    name: 'a server is stopped with SIGTERM',
    mustFailRequests: true,
    run: ({ servers }) => (servers[1] ?? servers[0]).restart('SIGTERM'),
  },
  {
    name: 'a server is paused',
    run: ({ servers: [server] }) => pause((signal) => server.process.child.kill(signal)),
  },
  {
    name: 'the clock of one server jumps an hour ahead',
    hasStrictBounds: true,
    movesClock: true,
    run: (deployment) => jumpClock(deployment, hourMs),
  },
  {
    name: 'the clock of one server jumps an hour back',
    hasStrictBounds: true,
    movesClock: true,
    run: (deployment) => jumpClock(deployment, -hourMs),
  },
]

const hourMs = 3_600_000

export async function pause(send: (signal: 'SIGSTOP' | 'SIGCONT') => unknown): Promise<void> {
  await send('SIGSTOP')
  await sleep(faultMs)
  await send('SIGCONT')
}

export async function repeatedly(work: () => Promise<unknown>): Promise<void> {
  const failures: unknown[] = []
  const times = 5
  for (let i = 0; i < times; i++) {
    // The call may have ended its own connection.
    await work().catch((error) => failures.push(error))
    await sleep(faultMs / times)
  }
  if (failures.length === times) throw failures[0]
}

async function jumpClock({ servers: [server], db }: Deployment, offsetMs: number): Promise<void> {
  await jump(server, offsetMs)
  await sleep(faultMs)
  const far = Date.now() + offsetMs / 2
  const rows = db
    .selectFrom('hufu_sessions')
    .select('id')
    .where('created_at', offsetMs > 0 ? '>' : '<', far)
  const deadline = performance.now() + 10_000
  // On a busy machine some time passes until a client signs in there.
  while ((await rows.limit(1).execute()).length === 0) {
    if (performance.now() > deadline) throw new Error('no session was begun by the clock that jumped')
    await sleep(100)
  }
  await jump(server, 0)
}

/** Waits for a moment, because the server does not report that it has handled the signal. */
async function jump(server: HufuServer, offsetMs: number): Promise<void> {
  server.setClock(offsetMs)
  await sleep(50)
}
