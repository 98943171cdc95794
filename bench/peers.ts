// Other libraries that answer the same question: npm packages, installed in bench/peers apart from Hufu, and
// configured as their documents recommend.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import type { StartedSubject, Subject, Target } from './checks.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = fileURLToPath(new URL('./peers', import.meta.url))
const production = { NODE_ENV: 'production' }
const nickname = '测试用户1'

/** Installs the peers where they are missing or outdated; returns the reason where that fails, or null. */
export async function installPeers(): Promise<string | null> {
  if (areInstalled()) return null
  process.stderr.write('Installing the peers: npm ci --prefix bench/peers\n')
  try {
    // `npm run --silent` would hide the reason of a failure.
    const args = [
      'ci',
      '--prefix',
      'bench/peers',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ]
    await promisify(execFile)('npm', args, { cwd: root, timeout: 300_000 })
    return null
  } catch (error) {
    return `npm ci --prefix bench/peers failed: ${reasonOf(error)}`
  }
}

/** npm writes its hidden lock file last. */
function areInstalled(): boolean {
  try {
    const installedAt = statSync(`${folder}/node_modules/.package-lock.json`).mtimeMs
    return installedAt >= statSync(`${folder}/package-lock.json`).mtimeMs
  } catch {
    return false
  }
}

/** npm's first line that is a sentence. */
function reasonOf(error: unknown): string {
  // execFile rejects with the standard error of a command that could be started.
  const { stderr = '', message } = error as Error & { stderr?: string }
  return /^npm error (?!code |syscall |errno )(\S.*)$/m.exec(stderr)?.[1] ?? message.trim()
}

/** express-session with connect-redis, on an empty logical database of Redis. */
export function expressSession(redisUrl: string): Subject {
  return async (count) => {
    const secret = randomBytes(32).toString('base64url')
    const start = () => startPeer('express-session.js', { PEER_REDIS_URL: redisUrl, PEER_SECRET: secret })
    const process = await start()
    const cookies = await forEach(count, async (i) => {
      const account = { nickname, phone_number: String(13000000000 + i) }
      const answer = await post(`${process.url}/sign-in`, account)
      return answer.headers.getSetCookie()[0]?.split(';', 1)[0]
    })
    const requests = cookies.map((cookie) => ({ path: '/user', headers: { cookie } }))
    const name = named('express-session', 'connect-redis')
    const isRight = (body: string) => body.startsWith(`{"code":1,"nickname":"${nickname}"`)
    await process.stop()
    return async () => startedPeer(await start(), { name, requests, isRight })
  }
}

/** better-auth on MariaDB with Redis as its secondary storage, called with its own bearer tokens. */
export function betterAuth(databaseUrl: string, redisUrl: string): Subject {
  return async (count) => {
    const environment = {
      PEER_DATABASE_URL: databaseUrl,
      PEER_REDIS_URL: redisUrl,
      BETTER_AUTH_SECRET: randomBytes(32).toString('base64'),
    }
    const start = () => startPeer('better-auth.js', environment)
    const process = await start()
    const tokens = await forEach(count, async (i) => {
      const user = { name: nickname, email: `user${i}@example.com`, password: 'correct horse battery' }
      const answer = await post(`${process.url}/api/auth/sign-up/email`, user)
      return answer.headers.get('set-auth-token')
    })
    const requests = tokens.map((token) => ({
      path: '/api/auth/get-session',
      headers: { authorization: `Bearer ${token}` },
    }))
    const name = named('better-auth', '@better-auth/redis-storage')
    // It answers an unknown caller with 200 and `null`, too.
    const isRight = (body: string) =>
      body.startsWith('{"session":{"') && body.includes(`"user":{"name":"${nickname}"`)
    await process.stop()
    return async () => startedPeer(await start(), { name, requests, isRight })
  }
}

async function startPeer(script: string, environment: Record<string, string>): Promise<ServerProcess> {
  return await startProcess({ ...production, ...environment }, { script: `bench/peers/${script}` })
}

function startedPeer(
  process: ServerProcess,
  asked: Pick<Target, 'name' | 'requests' | 'isRight'>,
): StartedSubject {
  const { url, child } = process
  return { process, targets: [{ ...asked, url, pid: child.pid, route: 'others', bytesOf: null }] }
}

async function post(url: string, body: unknown): Promise<Response> {
  const { origin } = new URL(url)
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 200)}`)
  return answer
}

/** The results of `make` for 0 to count - 1, 32 at a time. */
async function forEach(
  count: number,
  make: (i: number) => Promise<string | null | undefined>,
): Promise<string[]> {
  const made: string[] = []
  let next = 0
  const work = async () => {
    while (next < count) {
      const i = next++
      const one = await make(i)
      if (!one) throw new Error('signed in, and given nothing to show')
      made[i] = one
    }
  }
  await Promise.all(Array.from({ length: 32 }, work))
  return made
}

/** `express-session 1.19.0 + connect-redis 10.0.0` */
function named(...packages: readonly string[]): string {
  const { dependencies } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  return packages.map((name) => `${name} ${dependencies[name]}`).join(' + ')
}
