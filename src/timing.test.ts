// docs/coherence.md, "Why each rule is there", explains each inequality.
import { expect, test } from 'vitest'
import * as times from './timing.ts'

const seconds = (count: number) => count * 1_000

const rules: Readonly<
  Record<string, readonly (readonly [reason: string, smaller: number, larger: number])[]>
> = {
  'a commit never comes under a mark that has run out': [
    [
      'the longest transaction is refused by its deadline or by confirm',
      times.transactionMs,
      times.longTransactionMs,
    ],
    ['confirm allows the longest transaction', times.longTransactionMs - 1, times.confirmWithinMs],
    [
      'a commit that is sent just after confirm is over before the mark',
      times.confirmWithinMs + times.statementMs + times.redisCommandMs,
      seconds(times.markSeconds),
    ],
    [
      'the same in the memory of one process',
      times.longTransactionMs + times.statementMs,
      times.memoryMarkMs,
    ],
  ],
  'no fill brings an older state back': [
    [
      'a fill that comes late meets the mark of the settle that found none',
      times.fillWithinMs + times.redisCommandMs,
      seconds(times.settleMarkSeconds),
    ],
    [
      'a fill that comes late meets the mark of a writer that never settles',
      times.fillWithinMs + times.redisCommandMs,
      seconds(times.markSeconds),
    ],
  ],
  'the feed shows each change to each process': [
    ['two readings can fail before cache entries are out of use', 3 * times.readFeedEveryMs, times.freshMs],
    ['a writer that waits outlasts the trust of every process', times.freshMs, times.everyoneKnowsMs],
    ['one slow command of confirm makes no commit late', times.redisCommandMs, times.lateMs],
    [
      'a change is read again until its transaction is over',
      times.longTransactionMs + times.statementMs,
      times.readAgainMs,
    ],
    ['a server that reads the feed keeps it watched', times.freshMs + times.redisCommandMs, times.watchedMs],
    [
      'a process that starts knows each change that a cache entry can be older than',
      seconds(times.cacheEntrySeconds) + times.readAgainMs + times.clockSkewMs,
      times.feedStartMs,
    ],
    [
      'no change is removed that a process looks back to',
      times.feedStartMs + times.readAgainMs + times.clockSkewMs,
      times.feedKeepMs,
    ],
  ],
  'a late note of a use revives no session that was ended': [
    [
      'the note is written before the end stops counting as open',
      times.lateUseMs + times.noteUsesEveryMs + 2 * times.statementMs,
      times.mayLiveOnMs,
    ],
  ],
  'a session that is written as expired could not live on': [
    [
      'a use is written, and by every clock the session has expired',
      times.mayLiveOnMs + times.clockSkewMs,
      times.expiredForGoodMs,
    ],
  ],
}

for (const [promise, inequalities] of Object.entries(rules))
  test.each(inequalities)(`${promise}: %s`, (_reason, smaller, larger) => {
    expect(smaller).toBeLessThan(larger)
  })
