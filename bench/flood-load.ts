// Attempts to sign in with invented codes, each for another number and from another address. They run in a
// thread, so that they do not delay the measurement.
import { parentPort, workerData } from 'node:worker_threads'
import autocannon from 'autocannon'

export interface FloodLoad {
  readonly url: string
  readonly perSecond: number
  readonly seconds: number
}

export interface FloodTally {
  readonly perSecond: number
  /** Status -> count. Requests without a response are not counted. */
  readonly statuses: Readonly<Record<string, number>>
}

const addresses = 240
const numbersOfEach = 20

// Only bench/flood.ts starts this thread, with a FloodLoad.
const { url, perSecond, seconds } = workerData as FloodLoad
const requests = Array.from({ length: addresses * numbersOfEach }, (_, i) => ({
  method: 'POST' as const,
  path: '/v1/sessions',
  headers: {
    'content-type': 'application/json',
    'x-forwarded-for': `10.${i % addresses}.${Math.floor(Math.random() * 250)}.9`,
  },
  body: JSON.stringify({
    phone_number: `+8613${String(100_000_000 + Math.floor(Math.random() * 899_999_999))}`,
    code: '000000',
  }),
}))
// More than the queue of the counters can hold.
const connections = 600
const share = requests.length / connections
const began = performance.now()
let next = 0
const result = await autocannon({
  url,
  connections,
  duration: seconds,
  overallRate: perSecond,
  setupClient(client) {
    client.setRequests(requests.slice(next, next + share))
    next += share
  },
})
const statuses = Object.fromEntries(
  Object.entries(result.statusCodeStats ?? {}).map(([status, { count = 0 }]) => [status, count]),
)
const answers = Object.values(statuses).reduce((sum, count) => sum + count, 0)
parentPort?.postMessage({
  perSecond: answers / ((performance.now() - began) / 1000),
  statuses,
} satisfies FloodTally)
