import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { HashThreads } from './hash-threads.ts'

const cheap = { algorithm: 2, memoryCost: 64, timeCost: 1, parallelism: 1 } as const
const job = { password: 'x', cost: cheap }

test('first come, first served, and nothing is left when all is done', async () => {
  const threads = new HashThreads(1, 100)
  const done: number[] = []
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      await threads.run(job)
      done.push(i)
    }),
  )
  expect(done).toEqual(Array.from({ length: 20 }, (_, i) => i))
  expect(threads.load).toBe(0)
  await threads.close()
})

test('a job that cannot be done says so, and harms no other', async () => {
  const threads = new HashThreads(1, 10)
  const [bad, good] = await Promise.allSettled([
    threads.run({ password: 'x', phc: 'no hash' }),
    threads.run(job),
  ])
  expect(bad).toMatchObject({ status: 'rejected' })
  expect(good).toMatchObject({ status: 'fulfilled' })
  await threads.close()
})

test('a thread that ends takes its jobs along, and the next job gets another one', async () => {
  const threads = new HashThreads(1, 10)
  const lost = Promise.allSettled([threads.run(job), threads.run(job)])
  await threads.close()
  for (const one of await lost)
    expect(one).toMatchObject({ status: 'rejected', reason: { message: 'the hashing thread has ended' } })
  expect(threads.load).toBe(0)
  expect(await threads.run(job)).toMatch(/^\$argon2id/)
  await threads.close()
})

test.runIf(process.platform === 'linux')('only the threads that hash have a low priority', async () => {
  // The 19th field of a thread's stat: proc_pid_stat(5).
  const nices = () =>
    readdirSync('/proc/self/task').map((tid) => {
      const fields = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      return Number(fields[16])
    })
  const before = nices().filter((nice) => nice >= 10).length
  const threads = new HashThreads(2, 10)
  await Promise.all([threads.run(job), threads.run(job)])
  expect(nices().filter((nice) => nice >= 10).length - before).toBe(2)
  await threads.close()
})
