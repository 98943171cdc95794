// The protocol of the session cache as a model: one database, one account with a watched session, Redis, and
// two processes.

import { faults, nextStep } from './database.ts'
import { offerProcessSteps } from './process-steps.ts'
import { offerRedisSteps } from './redis-steps.ts'
import { designed, type Rules, type World } from './rules.ts'
import type { Model } from './search.ts'
import { pack, type State, startOf, unpack, wordsEach } from './states.ts'
import { offerWriterSteps } from './writer-steps.ts'

export function modelOf(world: World, change: Partial<Rules> = {}): Model<State> {
  const rules = { ...designed, ...change }
  const isForOne = world.writers.some(({ does }) => does === 'signIn')
  return {
    words: wordsEach,
    start: () => startOf(world),
    pack,
    unpack,
    offerSteps(state, offer) {
      offerWriterSteps(state, rules, world, offer)
      offerProcessSteps(state, rules, world, offer)
      offerRedisSteps(state, rules, world, offer)
      if (world.otherAccount && state.otherAccountAt === 0)
        offer('another account', 'commits a change', (s) => {
          s.otherAccountAt = nextStep(s, rules)
        })
    },
    findFault(state) {
      const isTwice = isForOne && (state.live & (state.live - 1)) > 0
      return faults[isTwice ? 3 : state.fault] ?? null
    },
  }
}
