// Injects faults into a deployment, one after the other, under a workload that never stops, and has everything
// checked.
import { setTimeout as sleep } from 'node:timers/promises'
import { freshMs } from '../../src/timing.ts'
import { audit } from './auditor.ts'
import { check, type Violation } from './checker.ts'
import { Client, type Server } from './client.ts'
import type { Fault, Later } from './faults.ts'
import type { Trouble } from './history.ts'
import { retriedByPassword } from './workload-retries.ts'
import { createAccounts, type Deployment } from './deployment.ts'
import { password, passwordNumbers, startWorkload, type Workload } from './workload.ts'

/** After each fault: what was under way is over. */
const calmMs = 700
/** After that something is wrong that does not heal by itself; the checker says so. */
const wellWithinMs = 15_000

const rules = {
  // What a client on a busy machine adds when it looks at its clock.
  boundMs: freshMs + 100,
  calmMs: 50,
  deadlineMs: 15_000,
}

export interface Result {
  readonly client: Client
  readonly troubles: readonly Trouble[]
  readonly violations: readonly Violation[]
  /** What in the stores contradicts itself, or what the client was told. */
  readonly audited: readonly string[]
  /** By the name of a fault: what the servers logged from its beginning to its end. */
  readonly logs: ReadonlyMap<string, string>
}

export interface Scenario<S extends Deployment> {
  /** @param source the folder whose `src/main.ts` the servers run */
  open(source: string): Promise<S>
  readonly source: string
  readonly faults: readonly Fault<S>[]
  /** What people do all the time; startWorkload, if not given. */
  readonly work?: (client: Client, deployment: Deployment) => Workload
  /** Asked after each fault: what was to be found is found, and the rest can be left out. */
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
  const troubles: Trouble[] = []
  const logs = new Map<string, string>()
  const leftBehind: { trouble: Trouble; ask: () => Promise<string[]> }[] = []
  const names = deployment.servers.map(({ name }) => name)
  const checked = () => check({ servers: names, operations: client.operations, troubles }, rules)
  try {
    await createAccounts(deployment.databaseUrl, [...passwordNumbers, retriedByPassword], password)
    const workload = work(client, deployment)
    await untilWell(deployment, client, performance.now())
    for (const fault of faults) {
      if (isLeftOut(fault, deployment)) continue
      const asks: (() => Promise<string[]>)[] = []
      const before = deployment.servers.map((server) => server.log().length)
      const trouble = await underFault(fault, deployment, client, (ask) => asks.push(ask))
      const log = deployment.servers.map((server, i) => `== ${server.name}\n${server.log().slice(before[i])}`)
      logs.set(fault.name, log.join('\n'))
      troubles.push(trouble)
      leftBehind.push(...asks.map((ask) => ({ trouble, ask })))
      if (isEnough?.(checked())) break
    }
    await workload.stop()
    const left: Violation[] = []
    for (const { trouble, ask } of leftBehind) {
      const texts = await ask()
      for (const text of texts)
        left.push({ rule: 'left behind', at: trouble.start, during: trouble.name, text })
    }
    const violations = [...checked(), ...left]
    return { client, troubles, violations, audited: await audit(client, deployment), logs }
  } finally {
    await deployment.close()
  }
}

/** Says so; with CI=true it is a failure, as a missing server is. */
function isLeftOut<S extends Deployment>({ name, missing }: Fault<S>, deployment: S): boolean {
  const why = missing?.(deployment) ?? null
  if (why === null) return false
  if (process.env.CI === 'true') throw new Error(`${name}: ${why}`)
  console.warn(`left out: ${name}: ${why}`)
  return true
}

async function underFault<S extends Deployment>(
  fault: Fault<S>,
  deployment: S,
  client: Client,
  later: Later,
): Promise<Trouble> {
  const start = performance.now()
  await fault.run(deployment, later)
  const healedAt = performance.now()
  await sleep(calmMs)
  await untilWell(deployment, client, healedAt)
  const { name, isCalm = false, isFelt = false, movesClock = false } = fault
  return { name, isCalm, isFelt, movesClock, start, healedAt, end: performance.now() }
}

/**
 * Waits until each server has its stores again and has accepted a sign-in since then, so that the next fault
 * meets a working server.
 */
async function untilWell({ servers }: Deployment, { operations }: Client, since: number): Promise<void> {
  const giveUpAt = performance.now() + wellWithinMs
  const signsIn = ({ name }: Server) =>
    operations.some(
      ({ server, kind, outcome, start }) =>
        server === name && kind === 'sign_in' && outcome === 'done' && start >= since,
    )
  const isWell = async (server: Server) => signsIn(server) && (await isReady(server))
  while (!(await Promise.all(servers.map(isWell))).every(Boolean)) {
    if (performance.now() > giveUpAt) return
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
