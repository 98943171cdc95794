import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { inClass, type QueueClass } from '../queue-order.ts'
import { HashPool } from './hash-pool.ts'

const cheap = { algorithm: 2, memoryCost: 64, timeCost: 1, parallelism: 1 } as const
const job = { password: 'x', cost: cheap }

test('first come, first served, and nothing is left when all is done', async () => {
  const threads = new HashPool(1, 100)
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

test('a flood without credentials takes neither places nor turns from a caller with a session or a device proof', async () => {
  const threads = new HashPool(1, 20)
  const order: string[] = []
  const run = (queueClass: QueueClass, name: string) =>
    inClass(queueClass, () => threads.run(job)).then(
      () => order.push(name),
      (error) => order.push(`${name} ${error.code}`),
    )
  const flood = Array.from({ length: 21 }, (_, i) => run('counted', `stranger ${i}`))
  expect(() => inClass('counted', () => threads.assertRoom())).toThrow(/overloaded/)
  inClass('known', () => threads.assertRoom())
  await Promise.all([...flood, run('known', 'person')])
  expect(order[0]).toBe('stranger 20 overloaded')
  // Two were in a thread already, and one had its turn.
  expect(order.indexOf('person')).toBeLessThanOrEqual(4)
  expect(order).toHaveLength(22)
  await threads.close()
})

test('a job that cannot be done says so, and harms no other', async () => {
  const threads = new HashPool(1, 10)
  const [bad, good] = await Promise.allSettled([
    threads.run({ password: 'x', phc: 'no hash' }),
    threads.run(job),
  ])
  expect(bad).toMatchObject({ status: 'rejected' })
  expect(good).toMatchObject({ status: 'fulfilled' })
  await threads.close()
})

test('a thread that ends takes its jobs along, and the next job gets another one', async () => {
  const threads = new HashPool(1, 10)
  const lost = Promise.allSettled([threads.run(job), threads.run(job)])
  await threads.close()
  for (const one of await lost)
    expect(one).toMatchObject({ status: 'rejected', reason: { message: 'the hashing thread has ended' } })
  expect(threads.load).toBe(0)
  expect(await threads.run(job)).toMatch(/^\$argon2id/)
  await threads.close()
})

test('of a pool that ends, what no thread has begun is refused at once, and the rest is done', async () => {
  const threads = new HashPool(1, 100)
  const jobs = Array.from({ length: 20 }, () => threads.run(job))
  threads.refuseRest()
  const outcomes = (await Promise.allSettled(jobs)).map((one) =>
    one.status === 'fulfilled' ? 'done' : one.reason.code,
  )
  expect(outcomes).toEqual([...Array(2).fill('done'), ...Array(18).fill('overloaded')])
  expect(() => threads.run(job)).toThrow(expect.objectContaining({ code: 'overloaded' }))
  expect(threads.load).toBe(0)
  await threads.close()
})

/** The nice values of this process's threads: the 19th field of a thread's stat, proc_pid_stat(5). */
function nices(): number[] {
  return readdirSync('/proc/self/task').map((tid) => {
    const fields = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return Number(fields[16])
  })
}

test.runIf(process.platform === 'linux')(
  'only the threads that hash have a lower priority: on a busy core they get at least a quarter of what others leave',
  async () => {
    const own = nices()
    const threads = new HashPool(2, 10)
    await Promise.all([threads.run(job), threads.run(job)])
    const lower = nices().filter((nice) => nice > 0)
    expect(lower).toHaveLength(own.filter((nice) => nice > 0).length + 2)
    // The kernel's weights go down by a quarter for each step of nice: sched_prio_to_weight of Linux.
    const share = (nice: number) => 1.25 ** -nice / (1 + 1.25 ** -nice)
    expect(Math.min(...lower.map(share))).toBeGreaterThan(0.25)
    expect(Math.max(...lower.map(share))).toBeLessThan(0.5)
    await threads.close()
  },
)
