import { expect, test } from 'vitest'
import { adjustableAllowances, networkFactor } from '../limits/allowances.ts'
import { places } from './code-sender.ts'
import { LaterJobs } from './later-jobs.ts'

const options = { max: 5, maxOfOne: 3, parallel: 1, withinMs: 60_000, onError: () => {} }
const overloaded = expect.objectContaining({ code: 'overloaded' })

/** A queue, and jobs that end when `end` is called. */
function openJobs() {
  const jobs = new LaterJobs(options)
  const { promise, resolve } = Promise.withResolvers<void>()
  const add = (from: string, count: number) => {
    for (let i = 0; i < count; i++) jobs.reserve(from).add(() => promise)
  }
  return { jobs, add, end: resolve }
}

test('one origin can take its share of the places, and the others stay for other origins', async () => {
  const { jobs, add, end } = openJobs()
  add('192.0.2.1', 3)
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  add('192.0.2.2', 2)
  expect(() => jobs.reserve('192.0.2.3')).toThrow(overloaded)
  // Waiting and running jobs count alike.
  const flushed = jobs.flush()
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  end()
  await flushed
  add('192.0.2.1', 3)
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  await jobs.flush()
})

test('a job that fails gives its place back', async () => {
  const jobs = new LaterJobs({ ...options, maxOfOne: 1 })
  jobs.reserve('192.0.2.1').add(() => Promise.reject(new Error('the gateway is away')))
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  await jobs.flush()
  expect(() => jobs.reserve('192.0.2.1')).not.toThrow()
})

test('a place is taken before its job is there, and can be given back once', async () => {
  const jobs = new LaterJobs({ ...options, maxOfOne: 1 })
  const place = jobs.reserve('192.0.2.1')
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  place.release()
  place.release()
  const next = jobs.reserve('192.0.2.1')
  next.add(async () => {})
  next.release()
  expect(() => jobs.reserve('192.0.2.1')).toThrow(overloaded)
  await jobs.flush()
})

test('by default, neither an address nor its network reaches the share of one address', () => {
  const [[perAddress = expect.fail()] = expect.fail()] = adjustableAllowances.codesPerAddress.byDefault
  expect(perAddress * networkFactor.byDefault).toBeLessThan(places.maxOfOne)
  expect(places.maxOfOne * 10).toBeLessThanOrEqual(places.max)
})
