// Injects faults into a deployment one after another, under a constant workload, and checks everything.
import { setTimeout as sleep } from 'node:timers/promises'
import { freshMs } from '../../src/timing.ts'
import { audit } from './auditor.ts'
import { check, type Violation } from './checker.ts'
import { Client, type Server } from './client.ts'
import { createAccounts, type Deployment } from './deployment.ts'
import type { Fault } from './faults.ts'
import type { FaultInterval } from './history.ts'
import type { Loss } from './losses.ts'
import { password, passwordNumbers, startWorkload, type Workload } from './workload.ts'
import { retriedByPassword } from './workload-retries.ts'

/** After this time the operations during a fault have ended. */
const settleMs = 700
/** A server that takes longer does not recover by itself; the checker reports it. */
const recoveryTimeoutMs = 15_000

const rules = {
  // The excess is what a busy machine adds to the time that a client measures.
  boundMs: freshMs + 100,
  strictBoundMs: 50,
  deadlineMs: 15_000,
}

export interface Result {
  readonly client: Client
  readonly faultIntervals: readonly FaultInterval[]
  readonly violations: readonly Violation[]
  /** Contradictions within the stores, or between them and the history. */
  readonly audited: readonly string[]
  /** By the name of a fault: what the servers logged during it. */
  readonly logs: ReadonlyMap<string, string>
}

export interface Scenario<S extends Deployment> {
  /** @param source the folder whose `src/main.ts` the servers run */
  open(source: string): Promise<S>
  readonly source: string
  readonly faults: readonly Fault<S>[]
  /** The workload; startWorkload by default. */
  readonly work?: (client: Client, deployment: Deployment) => Workload
  /** Called after each fault: true skips the remaining faults. */
  isEnough?(violations: readonly Violation[]): boolean
}

export async function runScenario<S extends Deployment>({
  open,
  source,
  faults,
  work = (client, one) => startWorkload(client, one),
  isEnough,
}: Scenario<S>): Promise<Result> {
  const deployment = await open(source)
  const client = new Client()
  const faultIntervals: FaultInterval[] = []
  const logs = new Map<string, string>()
  const leakChecks: { interval: FaultInterval; findLeaks: () => Promise<string[]> }[] = []
  const names = deployment.servers.map(({ name }) => name)
  const checked = () => check({ servers: names, operations: client.operations, faultIntervals }, rules)
  try {
    await createAccounts(deployment.databaseUrl, [...passwordNumbers, retriedByPassword], password)
    const workload = work(client, deployment)
    await untilRecovered(deployment, client, performance.now())
    for (const fault of faults) {
      if (isSkipped(fault, deployment)) continue
      const ofFault: (() => Promise<string[]>)[] = []
      const before = deployment.servers.map((server) => server.log().length)
      const interval = await underFault(fault, deployment, client, (findLeaks) => ofFault.push(findLeaks))
      const log = deployment.servers.map((server, i) => `== ${server.name}\n${server.log().slice(before[i])}`)
      logs.set(fault.name, log.join('\n'))
      faultIntervals.push(interval)
      leakChecks.push(...ofFault.map((findLeaks) => ({ interval, findLeaks })))
      if (isEnough?.(checked())) break
    }
    await workload.stop()
    const leaks: Violation[] = []
    for (const { interval, findLeaks } of leakChecks) {
      for (const text of await findLeaks())
        leaks.push({ rule: 'resource leak', at: interval.start, during: interval.name, text })
    }
    const violations = [...checked(), ...leaks]
    const losses = faultIntervals.flatMap(({ loss }) => loss ?? [])
    return { client, faultIntervals, violations, audited: await audit(client, deployment, losses), logs }
  } finally {
    await deployment.close()
  }
}

/** Reports the reason; with CI=true it is an error. */
function isSkipped<S extends Deployment>({ name, whySkipped }: Fault<S>, deployment: S): boolean {
  const why = whySkipped?.(deployment) ?? null
  if (why === null) return false
  if (process.env.CI === 'true') throw new Error(`${name}: ${why}`)
  console.warn(`skipped: ${name}: ${why}`)
  return true
}

async function underFault<S extends Deployment>(
  fault: Fault<S>,
  deployment: S,
  client: Client,
  checkAtEnd: (ask: () => Promise<string[]>) => void,
): Promise<FaultInterval> {
  const start = performance.now()
  const losses: Loss[] = []
  try {
    await fault.run(deployment, { checkAtEnd, lost: (loss) => losses.push(loss) })
  } catch (error) {
    throw new Error(`not injected: ${fault.name}`, { cause: error })
  }
  const healedAt = performance.now()
  await sleep(settleMs)
  await untilRecovered(deployment, client, healedAt)
  const { name, hasStrictBounds = false, mustFailRequests = false, movesClock = false, healsWithinMs } = fault
  const [loss] = losses
  return {
    ...{ name, hasStrictBounds, mustFailRequests, movesClock, start, healedAt, end: performance.now() },
    ...(healsWithinMs !== undefined && { healsWithinMs }),
    ...(loss && { loss }),
  }
}

/**
 * Waits until each server has its stores again and has accepted a sign-in since then, so that the next fault
 * starts with working servers.
 */
async function untilRecovered({ servers }: Deployment, { operations }: Client, since: number): Promise<void> {
  const deadline = performance.now() + recoveryTimeoutMs
  const signsIn = ({ name }: Server) =>
    operations.some(
      ({ server, kind, outcome, start }) =>
        server === name && kind === 'sign_in' && outcome === 'done' && start >= since,
    )
  const hasRecovered = async (server: Server) => signsIn(server) && (await isReady(server))
  while (!(await Promise.all(servers.map(hasRecovered))).every(Boolean)) {
    if (performance.now() > deadline) return
    await sleep(50)
  }
}

async function isReady({ url }: Server): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) })
    return !/out_of_reach|refused/.test(await response.text()) && response.ok
  } catch {
    return false
  }
}
