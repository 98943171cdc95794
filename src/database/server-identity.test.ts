import { describe, expect, test, vi } from 'vitest'
import { type Generation, ServerWatch, WrongServer } from './server-identity.ts'

const first = 'w db1/3306/data/1'
const second = 'w db2/3306/data/2'

function admit(watch: ServerWatch, text: string, isCluster = false): Generation {
  return watch.admit({ text, isCluster })
}

/** Runs `work` with a clock that `pass` advances. */
function withClock(work: (pass: (ms: number) => void) => void): void {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    work((ms) => vi.advanceTimersByTime(ms))
  } finally {
    vi.useRealTimers()
  }
}

describe('a connection is admitted', () => {
  test('where its server takes writes', () => {
    const watch = new ServerWatch()
    expect(() => admit(watch, first.replace('w', 'r'))).toThrow(WrongServer)
    expect(() => admit(watch, '')).toThrow(WrongServer)
    expect(watch.isCurrent(admit(watch, first))).toBe(true)
  })

  test('to another server, and then those before it are replaced', () => {
    const watch = new ServerWatch()
    const old = admit(watch, first)
    const recent = admit(watch, second)
    expect([watch.isCurrent(old), watch.isCurrent(recent)]).toEqual([false, true])
    expect(watch.isCurrent(admit(watch, second))).toBe(true)
    expect(watch.isCurrent(recent)).toBe(true)
  })

  test('to one server and another in turn at most once a second', () =>
    withClock((pass) => {
      const watch = new ServerWatch()
      admit(watch, first)
      admit(watch, second)
      expect(() => admit(watch, first)).toThrow(/in turn/)
      expect(watch.isCurrent(admit(watch, second))).toBe(true)
      pass(1_000)
      expect(watch.isCurrent(admit(watch, first))).toBe(true)
    }))

  test('to any node of a cluster', () => {
    const watch = new ServerWatch()
    const generations = [first, second, first].map((text) => admit(watch, text, true))
    expect(generations.every((generation) => watch.isCurrent(generation))).toBe(true)
    expect([first, second].map((text) => watch.trusts(text))).toEqual([true, true])
    expect(watch.trusts(second.replace('w', 'r'))).toBe(false)
  })
})

describe('doubt', () => {
  test('replaces all connections, and the next one decides which server is used', () => {
    const watch = new ServerWatch()
    const old = admit(watch, first)
    watch.doubt(old)
    expect(watch.isCurrent(old)).toBe(false)
    const recent = admit(watch, second)
    expect(watch.isCurrent(recent)).toBe(true)
    expect(watch.trusts(second)).toBe(true)
  })

  test('replaces them at most once a second, and never because of an older connection', () =>
    withClock((pass) => {
      const watch = new ServerWatch()
      const old = admit(watch, first)
      watch.doubt(old)
      const recent = admit(watch, first)
      watch.doubt(recent)
      expect(watch.isCurrent(recent)).toBe(true)
      pass(1_000)
      watch.doubt(old)
      expect(watch.isCurrent(recent)).toBe(true)
      watch.doubt(recent)
      expect(watch.isCurrent(recent)).toBe(false)
    }))
})

describe('a statement is confirmed', () => {
  test('if the server that is used answered it; otherwise all connections are replaced', () => {
    for (const text of [second, first.replace('w', 'r'), '']) {
      const watch = new ServerWatch()
      const generation = admit(watch, first)
      expect(watch.confirms(first)).toBe(true)
      expect(watch.isCurrent(generation)).toBe(true)
      expect(watch.confirms(text)).toBe(false)
      expect(watch.isCurrent(generation)).toBe(false)
      // The next connection decides.
      expect(watch.confirms(first)).toBe(false)
      admit(watch, second)
      expect(watch.confirms(second)).toBe(true)
    }
  })

  test('and connections are replaced at most once a second, and not while none has decided', () =>
    withClock((pass) => {
      const watch = new ServerWatch()
      expect(watch.confirms(first)).toBe(false)
      const old = admit(watch, first)
      expect(watch.confirms(second)).toBe(false)
      expect(watch.isCurrent(old)).toBe(false)
      const recent = admit(watch, first)
      pass(999)
      expect(watch.confirms(second)).toBe(false)
      expect(watch.isCurrent(recent)).toBe(true)
      pass(1)
      expect(watch.confirms(second)).toBe(false)
      expect(watch.isCurrent(recent)).toBe(false)
    }))
})

describe('a reading of the feed is trusted', () => {
  test('if the server that the pool uses answered it, and takes writes', () => {
    const watch = new ServerWatch()
    expect(watch.trusts(first)).toBe(false)
    const generation = admit(watch, first)
    expect(watch.trusts(first)).toBe(true)
    expect(watch.trusts(first.replace('w', 'r'))).toBe(false)
    expect(watch.isCurrent(generation)).toBe(false)
  })

  test('not if another server answered it: all connections are replaced', () => {
    const watch = new ServerWatch()
    const generation = admit(watch, first)
    expect(watch.trusts(second)).toBe(false)
    expect(watch.isCurrent(generation)).toBe(false)
    admit(watch, second)
    expect(watch.trusts(second)).toBe(true)
  })

  test('not while a request uses a connection from before a replacement', () => {
    const watch = new ServerWatch()
    const released = watch.use(admit(watch, first))
    const current = watch.use(admit(watch, second))
    expect(watch.trusts(second)).toBe(false)
    expect(watch.confirms(second)).toBe(true)
    released()
    expect(watch.trusts(second)).toBe(true)
    current()
    expect(watch.trusts(second)).toBe(true)
  })
})
