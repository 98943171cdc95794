// Finds the current primary by asking the sentinels.
import { onNode } from './node.ts'
import { type Address, type SentinelRedis, urlOf } from './redis-url.ts'

/** What a sentinel says about the primary. */
interface PrimaryReport {
  readonly address: Address
  /** Increases with each fail-over. */
  readonly epoch: number
}

type Answer = PromiseSettledResult<PrimaryReport>

/** Queries all sentinels at once. The answers are in the order of the setting. */
export async function askSentinels(place: SentinelRedis): Promise<Answer[]> {
  return await Promise.allSettled(place.sentinels.map((address) => ask(place, address)))
}

/**
 * The primary in the answer with the newest configuration: a sentinel that is cut off from the others still
 * names the old primary.
 * @throws where no sentinel names one
 */
export function newestPrimary(answers: readonly Answer[]): Address {
  const reports = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  const [newest] = reports.toSorted((a, b) => b.epoch - a.epoch)
  if (newest) return newest.address
  const [first] = answers
  throw first?.status === 'rejected' ? first.reason : new Error('there are no sentinels')
}

async function ask(place: SentinelRedis, sentinel: Address): Promise<PrimaryReport> {
  return await onNode(urlOf(place.sentinelUrls, sentinel), async (send) => {
    // During a fail-over, the sentinel that leads it reports the new primary here and the old one in MASTER.
    const [host, port] = await list(send('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', place.name))
    if (host === undefined) throw new Error(`sentinel ${sentinel} knows no primary "${place.name}"`)
    const facts = await list(send('SENTINEL', 'MASTER', place.name))
    const epoch = Number(facts[facts.indexOf('config-epoch') + 1])
    return { address: `${host.includes(':') ? `[${host}]` : host}:${port}`, epoch }
  })
}

async function list(answer: Promise<unknown>): Promise<string[]> {
  const values = await answer
  return Array.isArray(values) ? values.map(String) : []
}
