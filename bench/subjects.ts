// The subjects of a comparison: the bare routes, Hufu with some settings, and minimal implementations on
// Redis.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import type { Baseline, Subject, Target } from './checks.ts'
import { issueKey, issueTokens } from './tokens.ts'

const startOfUser = '{"code":1,"nickname":"测试用户1","phone_number":"13'
const startOfSession = '{"session":{"id":"'

/** A key may look up 5,000 tokens a second by default. */
const unlimitedLookups = { HUFU_KEY_LOOKUPS_PER_SECOND: '1000000' }
/** As long as a real key. */
const madeUpKey = `hfk_${'0'.repeat(12)}_${'0'.repeat(49)}`

/** Routes with Hufu's responses that check nothing. */
export function bareRoutes(baseline: Baseline): Subject {
  const name = baseline === 'http' ? 'node:http, no check' : 'Fastify, no check'
  return async (count) => {
    const tokens = Array.from({ length: count }, (_, i) => madeUpToken(i))
    return async () => {
      const process = await startProcess({ BENCH_BARE: baseline }, { script: 'bench/bare.ts' })
      const targets = [
        userTarget(name, process, tokens),
        sessionTarget(name, process, tokens),
        introspectionTarget(name, process, { tokens, key: madeUpKey }),
      ]
      return { process, targets: targets.map((target) => ({ ...target, baseline })) }
    }
  }
}

/** The entry of `npm start`; checkouts before 0.1.0 have main.ts alone. */
export function entryOf(source: string | undefined): 'main.js' | 'main.ts' {
  return source === undefined || existsSync(join(source, 'src', 'main.js')) ? 'main.js' : 'main.ts'
}

/** Another checkout creates its own tokens, because its layout in Redis may differ. */
function issuerOf(source: string | undefined): typeof issueTokens {
  if (source === undefined) return issueTokens
  return async (environment, count) => {
    const other = (await import(join(source, 'bench', 'tokens.ts'))) as { issueTokens: typeof issueTokens }
    return await other.issueTokens(environment, count)
  }
}

export interface HufuSubject {
  readonly name: string
  readonly environment: Record<string, string>
  /** `all`: with `POST /v1/introspect`, which another checkout may not have. */
  readonly routes: 'all' | 'both' | 'user'
  /** The absolute path of another checkout whose server is started. */
  readonly source?: string
}

/** Hufu with these settings, started as by `npm start`. */
export function hufu({ name, environment, routes, source }: HufuSubject): Subject {
  return async (count) => {
    const tokens = await issuerOf(source)(environment, count)
    const key = routes === 'all' ? await issueKey(environment) : null
    return async () => {
      const settings = { ...environment, ...(key !== null && unlimitedLookups) }
      const process = await startProcess(settings, { keepOutput: false, entry: entryOf(source), source })
      const targets = [userTarget(name, process, tokens)]
      if (routes !== 'user') targets.push(sessionTarget(name, process, tokens))
      if (key !== null) targets.push(introspectionTarget(name, process, { tokens, key }))
      return { process, targets }
    }
  }
}

/** A server of bench/redis-reads.ts on an empty logical database of Redis. */
export function redisReads(name: string, reads: 'cached-hash' | 'two-gets', redisUrl: string): Subject {
  return async (count) => {
    const tokens = Array.from({ length: count }, (_, i) => madeUpToken(i))
    await fill(tokens, reads, redisUrl)
    const environment = { BENCH_READS: reads, BENCH_REDIS_URL: redisUrl }
    return async () => {
      const process = await startProcess(environment, { script: 'bench/redis-reads.ts' })
      return { process, targets: [{ ...userTarget(name, process, tokens), route: 'others' }] }
    }
  }
}

async function fill(tokens: readonly string[], reads: string, redisUrl: string): Promise<void> {
  const client = await createClient({ url: redisUrl }).connect()
  const write = async (token: string, i: number) => {
    const account = { nickname: '测试用户1', phone_number: String(13000000000 + i) }
    if (reads === 'cached-hash') return await client.hSet(`session:${token}`, account)
    await client.set(`session:${token}`, String(i))
    return await client.set(`account:${i}`, JSON.stringify(account))
  }
  await Promise.all(tokens.map(write))
  client.destroy()
}

/** As long as a real token. */
function madeUpToken(i: number): string {
  return `hf_${String(i).padStart(65, '0')}`
}

function userTarget(name: string, process: ServerProcess, tokens: readonly string[]): Target {
  return {
    ...of(name, process),
    route: 'GET /user',
    bytesOf: 'GET /user',
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body) => body.startsWith(startOfUser),
  }
}

function sessionTarget(name: string, process: ServerProcess, tokens: readonly string[]): Target {
  return {
    ...of(name, process),
    route: 'GET /v1/session',
    bytesOf: 'GET /v1/session',
    requests: tokens.map((token) => ({
      path: '/v1/session',
      headers: { authorization: `Bearer ${token}` },
    })),
    isRight: (body) => body.startsWith(startOfSession) && body.includes('"nickname":"测试用户1"'),
  }
}

function introspectionTarget(
  name: string,
  process: ServerProcess,
  { tokens, key }: { readonly tokens: readonly string[]; readonly key: string },
): Target {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/x-www-form-urlencoded' }
  return {
    ...of(name, process),
    route: 'POST /v1/introspect',
    bytesOf: 'POST /v1/introspect',
    requests: tokens.map((token) => ({
      method: 'POST',
      path: '/v1/introspect',
      headers,
      body: `token=${token}`,
    })),
    isRight: (body) => body.startsWith('{"active":true,"sub":"'),
  }
}

function of(name: string, { url, child }: ServerProcess) {
  return { name, url, pid: child.pid }
}
