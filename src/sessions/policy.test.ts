import fc from 'fast-check'
import { expect, test } from 'vitest'
import { platforms } from './platform.ts'
import { type Contender, decide, type Policy } from './policy.ts'

const byPlatform: Policy = { scope: 'platform', max: 1, whenFull: 'replace_oldest' }

function session(id: string, change: Partial<Contender> = {}): Contender {
  return { id, platform: 'ios', deviceId: null, createdAt: Number(id), ...change }
}

test('by default the newest session of a platform replaces the one before and leaves other platforms alone', () => {
  const live = [session('1'), session('2', { platform: 'android' }), session('3', { platform: 'classic' })]
  expect(decide(byPlatform, live, { platform: 'ios', deviceId: null })).toEqual(['1'])
})

test('with room for two the oldest goes', () => {
  const live = [session('2'), session('1'), session('3')]
  expect(decide({ ...byPlatform, max: 2 }, live, { platform: 'ios', deviceId: null })).toEqual(['1', '2'])
})

test('in the scope of the account every platform competes', () => {
  const live = [session('1'), session('2', { platform: 'web' })]
  expect(decide({ ...byPlatform, scope: 'account' }, live, { platform: 'android', deviceId: null })).toEqual([
    '1',
    '2',
  ])
})

test('in the scope of a device two devices live side by side, and one device keeps one session', () => {
  const policy: Policy = { ...byPlatform, scope: 'device' }
  const live = [session('1', { deviceId: 'a' }), session('2', { deviceId: 'b' })]
  expect(decide(policy, live, { platform: 'ios', deviceId: 'b' })).toEqual(['2'])
  expect(decide(policy, live, { platform: 'ios', deviceId: 'c' })).toEqual([])
})

test('a full place refuses where the policy says so, but never the device that holds it', () => {
  const policy: Policy = { ...byPlatform, whenFull: 'refuse' }
  const live = [session('1', { deviceId: 'a' })]
  expect(decide(policy, live, { platform: 'ios', deviceId: 'b' })).toBe('refused')
  expect(decide(policy, live, { platform: 'ios', deviceId: 'a' })).toEqual(['1'])
})

test('zero is any number', () => {
  const live = Array.from({ length: 50 }, (_, i) => session(String(i)))
  expect(decide({ ...byPlatform, max: 0 }, live, { platform: 'ios', deviceId: null })).toEqual([])
})

test('the classic API has one session an account under every policy', () => {
  const policy: Policy = { scope: 'device', max: 0, whenFull: 'replace_oldest' }
  const live = [session('1', { platform: 'classic' }), session('2')]
  expect(decide(policy, live, { platform: 'classic', deviceId: null })).toEqual(['1'])
})

test('whatever is live: after a sign-in no scope holds more than its maximum, and only live sessions end', () => {
  const contender = fc.record({
    id: fc.uuid(),
    platform: fc.constantFrom(...platforms),
    deviceId: fc.option(fc.constantFrom('a', 'b', 'c')),
    createdAt: fc.nat(),
  })
  const policy = fc.record({
    scope: fc.constantFrom('account' as const, 'platform' as const, 'device' as const),
    max: fc.integer({ min: 1, max: 4 }),
    whenFull: fc.constant('replace_oldest' as const),
  })
  fc.assert(
    fc.property(policy, fc.array(contender, { maxLength: 20 }), contender, (rules, live, candidate) => {
      const ended = decide(rules, live, candidate)
      if (ended === 'refused') return false
      const left = live.filter(({ id }) => !ended.includes(id))
      const inScope = left.filter(
        (one) =>
          rules.scope === 'account' ||
          (one.platform === candidate.platform &&
            (rules.scope === 'platform' || one.deviceId === candidate.deviceId)),
      )
      const areLive = ended.every((id) => live.some((one) => one.id === id))
      return areLive && new Set(ended).size === ended.length && inScope.length + 1 <= rules.max
    }),
  )
})
