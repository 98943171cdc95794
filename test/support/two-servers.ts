// Two servers in this process under a load that records every response, while a test breaks their Redis.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { freshMs } from '../../src/timing.ts'
import { check } from '../fault-run/checker.ts'
import { Client } from '../fault-run/client.ts'
import type { Operation } from '../fault-run/history.ts'
import { password, passwordNumbers, startWorkload } from '../fault-run/workload.ts'
import { type RunningApp, startApp } from './app.ts'
import { databases } from './databases.ts'
import { until } from './services/until.ts'
import { clientOf } from './v1-calls.ts'

export interface TwoServers {
  readonly apps: readonly [RunningApp, RunningApp]
  readonly databaseUrl: string
  /**
   * Signs in and out, and checks old and new tokens, until `work` is done and both servers are fully
   * connected to Redis.
   */
  underLoad(work: () => Promise<void>): Promise<readonly Operation[]>
  /**
   * For longer than a server may trust an old entry, both refuse the one token as signed out and accept the
   * other.
   */
  expectStillSo(tokens: { readonly ended: string; readonly live: string }): Promise<void>
  /** Resolves when both servers are fully connected to Redis. */
  haveRedis(): Promise<void>
  close(): Promise<void>
}

async function areConnectedToRedis(apps: TwoServers['apps']): Promise<boolean> {
  const answers = await Promise.all(apps.map(({ url }) => fetch(`${url}/readyz`)))
  const states = await Promise.all(answers.map((answer) => answer.text()))
  return states.every((state) => state.includes('"redis":"ok"'))
}

async function expectStillSo(
  apps: TwoServers['apps'],
  { ended, live }: { readonly ended: string; readonly live: string },
): Promise<void> {
  const end = performance.now() + freshMs + 500
  while (performance.now() < end) {
    for (const app of apps) {
      expect(await clientOf(app).me(ended)).toMatchObject({
        status: 401,
        body: { code: 'session_signed_out' },
      })
      expect((await clientOf(app).me(live)).status).toBe(200)
    }
  }
}

export async function startTwoServers(
  redisUrl: string,
  environment: Record<string, string> = {},
): Promise<TwoServers> {
  const database =
    databases.find(({ name, skipped }) => name !== 'sqlite' && skipped === null) ?? databases[0]
  const { url: databaseUrl, drop } = (await database?.create()) ?? expect.fail('no database')
  const start = () => startApp(databaseUrl, { environment: { HUFU_REDIS_URL: redisUrl, ...environment } })
  const apps = [await start(), await start()] as const
  for (const phoneNumber of passwordNumbers)
    await apps[0].services.accounts.create({ phoneNumber, nickname: null, password })
  const haveRedis = () => until(() => areConnectedToRedis(apps))
  return {
    apps,
    databaseUrl,
    haveRedis,
    expectStillSo: (tokens) => expectStillSo(apps, tokens),
    async underLoad(work) {
      const client = new Client()
      const servers = [
        { name: 's1', url: apps[0].url },
        { name: 's2', url: apps[1].url },
      ] as const
      // The awaited event, such as a fail-over, takes seconds, so a low rate of requests is enough.
      const load = startWorkload(
        client,
        { servers, codeOf: async () => '' },
        { codes: [], hasRetries: false, pauseMs: 20 },
      )
      await sleep(500)
      const start = performance.now()
      await work()
      await haveRedis()
      const healedAt = performance.now()
      await sleep(freshMs)
      const { operations } = client
      const worksAgain = ({ name }: { readonly name: string }) =>
        operations.some(
          (one) =>
            one.server === name && one.outcome === 'done' && one.kind === 'sign_in' && one.start > healedAt,
        )
      await until(async () => servers.every(worksAgain))
      await load.stop()
      const interval = {
        name: 'test',
        hasStrictBounds: false,
        mustFailRequests: false,
        start,
        healedAt,
        end: performance.now(),
      }
      const history = { servers: servers.map(({ name }) => name), operations, faultIntervals: [interval] }
      const boundMs = freshMs + 100
      expect(check(history, { boundMs, strictBoundMs: boundMs, deadlineMs: 15_000 })).toEqual([])
      return operations
    },
    async close() {
      for (const app of apps) await app.close()
      await drop()
    },
  }
}

/** The number of operations by kind and outcome. */
export function tally(operations: readonly Operation[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind, outcome } of operations)
    counts[`${kind} ${outcome}`] = (counts[`${kind} ${outcome}`] ?? 0) + 1
  return counts
}
