// The time from the start of an embedded server to its first response, with a new file and with an existing
// one, beside bare Fastify.
import { rmSync } from 'node:fs'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import { median } from './median.ts'
import { rotateOrder } from './rotate-order.ts'
import { entryOf } from './subjects.ts'

export interface StartResult {
  readonly name: string
  readonly ms: number
  /** Its time divided by that of bare Fastify, of the same round. */
  readonly toFastify: number
  /** false: Fastify itself, or another checkout. */
  readonly isOurs: boolean
}

export interface StartOptions {
  readonly databaseFile: string
  readonly rounds: number
  /** The folder of another checkout that is measured as well. */
  readonly against: string | null
}

interface Subject {
  readonly name: string
  readonly isOurs: boolean
  readonly start: () => Promise<ServerProcess>
  readonly prepare?: () => void
}

/** Starts, sends a request and stops, repeatedly; returns medians. */
export async function benchStart(options: StartOptions): Promise<StartResult[]> {
  const subjects = subjectsOf(options)
  const taken = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]))
  for (let round = 0; round < options.rounds; round++)
    for (const subject of rotateOrder(subjects, round)) taken.get(subject)?.push(await startOnce(subject))
  const [fastify] = subjects
  const ofFastify = (fastify && taken.get(fastify)) ?? []
  return [...taken].map(([{ name, isOurs }, all]) => ({
    name,
    isOurs,
    ms: median(all),
    toFastify: median(all.map((ms, round) => ms / (ofFastify[round] ?? Number.NaN))),
  }))
}

function subjectsOf({ databaseFile, against }: StartOptions): Subject[] {
  const hufu = (file: string, source?: string) => () =>
    startProcess({ HUFU_DATABASE_URL: `sqlite:${file}` }, { entry: entryOf(source), source })
  const remove = () => {
    for (const end of ['', '-wal', '-shm']) rmSync(`${databaseFile}-new${end}`, { force: true })
  }
  return [
    { name: 'bare Fastify', isOurs: false, start: () => startProcess({}, { script: 'bench/bare.ts' }) },
    { name: 'a new file', isOurs: true, start: hufu(`${databaseFile}-new`), prepare: remove },
    { name: 'the file is there', isOurs: true, start: hufu(databaseFile) },
    ...(against === null
      ? []
      : [
          {
            name: `the file is there, ${against}`,
            isOurs: false,
            start: hufu(`${databaseFile}-other`, against),
          },
        ]),
  ]
}

async function startOnce({ start, prepare }: Subject): Promise<number> {
  prepare?.()
  const began = performance.now()
  const server = await start()
  const answer = await fetch(`${server.url}/user`)
  const ms = performance.now() - began
  await answer.arrayBuffer()
  await server.stop()
  return ms
}
