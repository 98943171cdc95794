// From the start of the process to its first answer, embedded: a new file, and one that is there already.
import { rmSync } from 'node:fs'
import { startProcess } from '../test/support/app.ts'
import { median } from './median.ts'

export interface StartResult {
  readonly firstMs: number
  readonly againMs: number
}

/** Starts, asks once, stops, over and over; gives medians. */
export async function benchStart(databaseFile: string, rounds: number): Promise<StartResult> {
  const first: number[] = []
  const again: number[] = []
  for (let round = 0; round < rounds; round++) {
    for (const end of ['', '-wal', '-shm']) rmSync(databaseFile + end, { force: true })
    first.push(await startOnce(databaseFile))
    again.push(await startOnce(databaseFile))
  }
  return { firstMs: median(first), againMs: median(again) }
}

async function startOnce(databaseFile: string): Promise<number> {
  const began = performance.now()
  const server = await startProcess({ HUFU_DATABASE_URL: `sqlite:${databaseFile}` })
  const answer = await fetch(server.url)
  const ms = performance.now() - began
  await server.stop()
  if ((await answer.text()) !== 'Hello World!') throw new Error('that is not the server')
  return ms
}
