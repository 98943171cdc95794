// A complete Hufu server for a test: in this process with a manual clock, or as a separate process that can
// be killed.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { openServer, openServices, type Services } from '../../src/app.ts'
import { ManualClock } from '../../src/clock.ts'
import { migrate } from '../../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { backgroundErrorLog, logTo, requestLog } from '../../src/log.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { whenProcessEnds } from './services/ending.ts'

export const person = { phone: '12345678901', password: '123456', nickname: '测试用户1' } as const

/**
 * Most tests sign in far more often than the limits allow; limits.test.ts and outages.test.ts set it to `on`.
 */
const withoutLimits = { HUFU_LIMITS: 'off' }

export interface RunningApp {
  readonly url: string
  readonly services: Services
  /** Another connection to the same database, for direct changes like those of an operator's tool. */
  readonly byHand: Database
  readonly server: FastifyInstance
  readonly clock: ManualClock
  /** Every log line. */
  readonly lines: string[]
  close(): Promise<void>
}

export interface AppOptions {
  readonly environment?: Record<string, string>
  readonly cacheEntrySeconds?: number
  /** Password hashes take as long as in a real server; by default they take almost no time. */
  readonly slowHashes?: boolean
  /** 127.0.0.1 by default. */
  readonly host?: string
}

/** The minimum of argon2id: most tests do not concern hashing. */
const cheapHashes = { memoryKib: 8, passes: 1 }

/** Starts everything in this process, on a free port and with a manual clock. */
export async function startApp(databaseUrl: string, options: AppOptions = {}): Promise<RunningApp> {
  const settings = readSettings({
    HUFU_DATABASE_URL: databaseUrl,
    HUFU_PORT: '0',
    ...withoutLimits,
    ...options.environment,
  })
  const clock = new ManualClock(Date.UTC(2026, 10, 22))
  const { cacheEntrySeconds } = options
  const lines: string[] = []
  const log = logTo({ write: (line) => lines.push(line) }, 'debug')
  const services = await openServices(settings, {
    clock,
    databaseNow: async () => clock.now(),
    onBackgroundError: backgroundErrorLog(log),
    ...(cacheEntrySeconds !== undefined && { cacheEntrySeconds }),
    ...(!options.slowHashes && { passwordCost: cheapHashes }),
  })
  await migrate(services.db, settings.database.location.kind)
  const byHand = openDatabase(dialectFor(databaseUrl, 1))
  const server = await openServer(services, settings, { log: requestLog(log), isStopping: () => false })
  const url = await server.listen({ host: options.host ?? '127.0.0.1', port: 0 })
  const close = async () => {
    await server.close()
    await services.close()
    await byHand.destroy()
  }
  return { url, services, byHand, server, clock, lines, close }
}

/** Adds the tutorial's account, or another one with the same password. */
export async function addPerson(
  services: Services,
  phoneNumber: string = person.phone,
  nickname: string | null = person.nickname,
) {
  return await services.accounts.create({
    phoneNumber,
    nickname,
    password: person.password,
    allowWeakPassword: true,
  })
}

export interface ServerProcess {
  readonly url: string
  readonly child: ChildProcess
  /** Its standard output and standard error so far. */
  readonly output: () => string
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The entry of `npm start`. From main.ts itself, Node loads its compiler for TypeScript at each start. */
const main = `${root}src/main.js`

export interface ProcessOptions {
  readonly cwd?: string
  /** Another script of this project, which prints its address as the server does. */
  readonly script?: string
  /** Another copy of this project whose server is started. */
  readonly source?: string | undefined
  /** By default main.js, the entry of `npm start`, and main.ts in another copy, which may be an older one. */
  readonly entry?: 'main.ts' | 'main.js'
  /** false: discards standard output, because a load test writes a line for each request. */
  readonly keepOutput?: boolean
}

/** Starts `node src/main.js serve` with these settings and waits until it listens. */
export async function startProcess(
  environment: Record<string, string>,
  {
    cwd,
    script,
    source,
    entry = source === undefined ? 'main.js' : 'main.ts',
    keepOutput = true,
  }: ProcessOptions = {},
): Promise<ServerProcess> {
  const { PATH = '', HOME = '', TMPDIR = '' } = process.env
  const program = join(source ?? root, 'src', entry)
  const child = spawn(process.execPath, script ? [root + script] : [program, 'serve'], {
    env: { PATH, HOME, ...(TMPDIR && { TMPDIR }), HUFU_PORT: '0', ...withoutLimits, ...environment },
    stdio: ['ignore', keepOutput ? 'pipe' : 'ignore', 'pipe'],
    ...(cwd && { cwd }),
  })
  let output = ''
  const url = new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk
      const found = /Hufu 虎符 \S+ {2}(http:\S+)/.exec(output)?.[1]
      if (found) resolve(found)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${output}`)))
  })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await once(child, 'exit')
    }
    return child.exitCode
  }
  whenProcessEnds(() => void child.kill('SIGKILL'))
  return { url: await url, child, output: () => output, stop }
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command of the command line with these settings. */
export async function runCommand(
  args: readonly string[],
  environment: Record<string, string>,
  options: { stdin?: string; cwd?: string /** Of another copy of this project. */; program?: string } = {},
): Promise<CommandResult> {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [options.program ?? main, ...args], {
    env: { PATH, HOME, ...environment },
    ...(options.cwd && { cwd: options.cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  child.stdin.end(options.stdin ?? '')
  await once(child, 'close')
  return { code: child.exitCode, stdout, stderr }
}
