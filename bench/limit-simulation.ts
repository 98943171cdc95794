// Simulates attacks on the limits with a manual clock: the real limiter and the real table, and a simple
// model of codes, owners and attackers.

import { codeCheck } from '../src/authentication/methods/code.ts'
import { signInChecks } from '../src/authentication/methods/methods.ts'
import { passwordCheck } from '../src/authentication/methods/password.ts'
import { ManualClock } from '../src/clock.ts'
import {
  type AdjustableAllowance,
  type Allowance,
  allowancesOf,
  defaultAllowances,
  networkFactor,
} from '../src/limits/allowances.ts'
import { Limiter } from '../src/limits/limiter.ts'
import { type Limit, limitsWith } from '../src/limits/limits.ts'
import { MemoryLimitStore } from '../src/limits/store-memory.ts'
import type { LimitSubject } from '../src/limits/subjects.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const year = 365 * day
const dailyBudget = 10_000
/** The validity of a code after its message, as in codes/codes.ts. */
const codeLifeMs = 5 * minute
const guessesPerCode = 5
/**
 * The probability that one guess is right: a code has a million values, and the same is assumed for a
 * password that is not a common one.
 */
const chanceOfOneGuess = 1e-6
/** The resources of an attacker in the worst rows. */
const botnetAddresses = 10_000
/** How long a refused owner waits before the phone switches from Wi-Fi to the mobile network. */
const patienceMs = 15 * minute

const victim = '+8613800005223'
const ownerAddress = '198.51.100.9'
const otherNetwork = '192.0.2.9'

const lowest = ({ atLeast }: AdjustableAllowance): Allowance => atLeast
const highest = ({ byDefault, atMost }: AdjustableAllowance): Allowance =>
  byDefault.map(([, perSeconds]) => [atMost, perSeconds])

/**
 * The lowest values for one device or one number, the highest for what many callers share: room for
 * attackers, little for owners.
 */
const hardest = (about: AdjustableAllowance, name: string): Allowance =>
  /Per(Device|Number)$/.test(name) ? lowest(about) : highest(about)

/** The settings of an operator, at their extremes. */
export const numbers = {
  default: { allowances: defaultAllowances, networkFactor: networkFactor.byDefault },
  lowest: { allowances: allowancesOf(lowest), networkFactor: networkFactor.from },
  highest: { allowances: allowancesOf(highest), networkFactor: networkFactor.to },
  hardest: { allowances: allowancesOf(hardest), networkFactor: networkFactor.to },
} as const
export type Numbers = keyof typeof numbers

export interface Row {
  readonly attack: string
  /** The longest time that the owner was kept out, in minutes, with and without a device proof. */
  readonly keptOut: { readonly withProof: number; readonly withoutProof: number }
  /** The expected number of accounts that are lost to this attack in a year. */
  readonly taken: { readonly now: number; readonly before: number }
}

interface Code {
  readonly id: number
  readonly sentAt: number
  guesses: number
}

/** One number with an account, its codes, its owner and its attackers. */
class World {
  readonly clock = new ManualClock()
  readonly limiter: Limiter
  code: Code | null = null
  messages = 0
  /** Guesses of attackers, one of which would have been enough. */
  realGuesses = 0
  #lastCode = 0

  constructor(limits: readonly Limit[]) {
    const store = new MemoryLimitStore({ clock: this.clock, max: 300_000 })
    this.limiter = new Limiter({ store, limits })
  }

  /** Requests a code, as CodeSender does. */
  async ask(
    subject: LimitSubject,
    to: 'owner' | 'without_account' = 'owner',
  ): Promise<'sent' | 'nothing' | 'refused'> {
    const asked = await this.limiter.requestCode(subject).catch(() => null)
    if (!asked) return 'refused'
    if ((await asked.consumeMessage(to)) !== 'allowed') return 'nothing'
    this.messages++
    if (subject.phoneNumber !== victim) return 'sent'
    const isDead = !this.isOut || (this.code?.guesses ?? 0) >= guessesPerCode
    const guesses = isDead ? 0 : (this.code?.guesses ?? 0)
    this.code = { id: isDead ? ++this.#lastCode : this.#lastCode, sentAt: this.clock.now(), guesses }
    return 'sent'
  }

  get isOut(): boolean {
    return this.code !== null && this.clock.now() < this.code.sentAt + codeLifeMs
  }

  /** Tries a code, as Codes.check does. */
  async tryCode(subject: LimitSubject, isRight: boolean): Promise<'in' | 'wrong' | 'refused'> {
    const attempt = await this.limiter.attempt(codeCheck, subject).catch(() => null)
    if (!attempt) return 'refused'
    const code = this.isOut && subject.phoneNumber === victim ? this.code : null
    const decision = await attempt.guess.count(code !== null)
    if (!code) return 'wrong'
    const isCounted = decision === 'allowed' && code.guesses < guessesPerCode
    if (isCounted) code.guesses++
    if (!isRight) {
      if (isCounted) this.realGuesses++
      return 'wrong'
    }
    if (
      decision !== 'reserved' &&
      !isCounted &&
      !(await attempt.guess.isSecondCorrectCode(String(code.id), true))
    )
      return 'wrong'
    await attempt.succeeded()
    return 'in'
  }

  /** Tries a password, as comparePassword does. */
  async tryPassword(subject: LimitSubject, isRight: boolean): Promise<'in' | 'wrong' | 'refused'> {
    const attempt = await this.limiter.attempt(passwordCheck, subject).catch(() => null)
    if (!attempt) return 'refused'
    const decision = await attempt.guess.count(true)
    if (decision !== 'full' && !isRight) this.realGuesses++
    if (decision === 'full' || !isRight) return 'wrong'
    await attempt.succeeded()
    return 'in'
  }
}

let lastBot = 0

/** A caller at an address, at first for the victim's number. */
function caller(address: string, more: Partial<LimitSubject> = {}): LimitSubject {
  return { phoneNumber: victim, address, deviceId: null, accountId: null, proof: null, ...more }
}

/** The next of the botnet's 10,000 addresses, in rotation. */
function bot(more: Partial<LimitSubject> = {}): LimitSubject {
  const i = lastBot++ % botnetAddresses
  return caller(`10.${i % 250}.${Math.floor(i / 250)}.1`, more)
}

/**
 * The owner of a number during an attack. The owner requests a code whenever the app allows it, and enters
 * each code that arrives.
 */
class Owner {
  readonly #world: World
  readonly #since: number
  readonly #marks: Pick<LimitSubject, 'proof' | 'deviceId'>
  #triedCode = 0

  constructor(world: World, marks: Pick<LimitSubject, 'proof' | 'deviceId'>) {
    this.#world = world
    this.#since = world.clock.now()
    this.#marks = marks
  }

  /** One minute of attempts; true once the owner is signed in. */
  async tries(): Promise<boolean> {
    const world = this.#world
    const hasPatience = world.clock.now() - this.#since < patienceMs
    const me = caller(hasPatience ? ownerAddress : otherNetwork, this.#marks)
    if (!world.isOut || world.code?.id === this.#triedCode) await world.ask(me)
    if (!world.isOut || world.code?.id === this.#triedCode) return false
    const answer = await world.tryCode(me, true)
    if (answer !== 'refused') this.#triedCode = world.code?.id ?? 0
    return answer === 'in'
  }
}

interface Attack {
  readonly name: string
  /** The attackers' actions in a minute. */
  readonly minute: (world: World) => Promise<void>
  readonly days: number
  /** The device id that the owner's app sends; none if absent. */
  readonly ownerDeviceId?: string
  /** The accounts that are lost in a year, from the counted guesses. */
  readonly taken?: (world: World, years: number) => number
  /** The same by the limits of the version before device proofs. */
  readonly before: number
}

/**
 * The longest time that an owner is kept out, over owners that start at many moments of the attack. Each
 * owner gets a new simulation of the same attack, because an owner's sign-in helps the next owner.
 */
async function longestMinutes(
  attack: Attack,
  limits: readonly Limit[],
  proof: string | null,
): Promise<number> {
  let longest = 0
  for (const startHour of [0, 1, 3, 7, 18, 25, 30, 47]) {
    const world = new World(limits)
    for (let i = 0; i < startHour * 60; i++) {
      await attack.minute(world)
      world.clock.advance(minute)
    }
    const owner = new Owner(world, { proof, deviceId: attack.ownerDeviceId ?? null })
    let minutes = 0
    for (; minutes <= 7 * 24 * 60; minutes++) {
      await attack.minute(world)
      if (await owner.tries()) break
      world.clock.advance(minute)
    }
    longest = Math.max(longest, minutes)
  }
  return longest
}

async function simulate(attack: Attack, limits: readonly Limit[]): Promise<Row> {
  const world = new World(limits)
  for (let i = 0; i < attack.days * 24 * 60; i++) {
    await attack.minute(world)
    world.clock.advance(minute)
  }
  const years = (attack.days * day) / year
  return {
    attack: attack.name,
    keptOut: {
      withProof: await longestMinutes(attack, limits, 'proof'),
      withoutProof: await longestMinutes(attack, limits, null),
    },
    taken: { now: attack.taken?.(world, years) ?? 0, before: attack.before },
  }
}

const byRealGuesses = (world: World, years: number) => (world.realGuesses / years) * chanceOfOneGuess

/**
 * How many wrong codes one caller can try in a day while the number has no attempts left, by the real
 * limiter.
 */
async function guessesOfOneCallerInADay(limits: readonly Limit[]): Promise<number> {
  const world = new World(limits)
  const subject = caller('10.0.0.1')
  let tries = 0
  for (let i = 0; i < 24 * 60; i++) {
    if ((await world.tryCode(subject, false)) !== 'refused') tries++
    world.clock.advance(minute)
  }
  return tries
}

/**
 * While a number has no attempts left, an account is lost only if one caller guesses two codes. The model
 * lets every address of the botnet use all its attempts each day on different pairs of codes, which is more
 * than a real attacker has.
 */
async function takenByTwoCodes(limits: readonly Limit[]): Promise<number> {
  const tries = await guessesOfOneCallerInADay(limits)
  const pairsOfADay = (tries * (tries - 1)) / 2
  return botnetAddresses * pairsOfADay * chanceOfOneGuess ** 2 * 365
}

const sixNetworks = Array.from({ length: 6 }, (_, i) => `203.0.${100 + i}`)
const ownerDeviceId = 'A1B2C3'
let lastUnknown = 0
const unknownNumber = () => `+86139${String(10_000_000 + (lastUnknown++ % 80_000_000))}`

async function burst(count: number, one: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i++) await one(i)
}

/**
 * If the owner signs in once a month, each sign-in cleared the failures in a row: 100 guesses a month by
 * each method.
 */
const oneAccountBefore = 100 * 12 * chanceOfOneGuess
/**
 * 10,000 wrong codes a day were the limit of the installation, and 10,000 messages a day allow five guesses
 * each.
 */
const installationBefore = Math.min(10_000, dailyBudget * guessesPerCode) * 365 * chanceOfOneGuess

/** Guesses at the codes of one number. `twoCodes`: the accounts lost in a year by `takenByTwoCodes`. */
function guessesOfCodes(twoCodes: number): Attack[] {
  return [
    {
      name: 'wrong codes at numbers that never requested one, 300 a minute from six networks',
      days: 3,
      minute: (world) =>
        burst(50, (i) =>
          world.tryCode(caller(`${sixNetworks[i % 6]}.${i}`, { phoneNumber: unknownNumber() }), false),
        ),
      taken: byRealGuesses,
      before: 0,
    },
    {
      name: 'codes requested and guessed at one number, one address',
      days: 40,
      minute: async (world) => {
        const subject = caller('203.0.113.7')
        await world.ask(subject)
        await world.tryCode(subject, false)
      },
      taken: byRealGuesses,
      before: oneAccountBefore,
    },
    {
      name: 'codes requested and guessed at one number, 10,000 addresses',
      days: 40,
      minute: async (world) => {
        await world.ask(bot())
        if (world.isOut) await burst(8, () => world.tryCode(bot(), false))
      },
      taken: (world, years) => byRealGuesses(world, years) + twoCodes,
      before: oneAccountBefore,
    },
  ]
}

/** Attacks that keep an owner out, and take no account. */
const keepingOut: readonly Attack[] = [
  {
    name: 'messages of one number used up, one address',
    days: 3,
    minute: (world) => world.ask(caller('203.0.113.7')).then(() => {}),
    before: 0,
  },
  {
    name: 'messages of one number used up, a whole /24',
    days: 3,
    minute: (world) => burst(4, (i) => world.ask(caller(`203.0.113.${(lastBot++ + i) % 256}`))),
    before: 0,
  },
  {
    name: 'messages of one number used up, 10,000 addresses',
    days: 3,
    minute: (world) => burst(4, () => world.ask(bot())),
    before: 0,
  },
  {
    name: "a neighbour at the owner's own address who taps all day",
    days: 3,
    minute: (world) =>
      burst(20, (i) => world.ask(caller(ownerAddress, i ? { phoneNumber: unknownNumber() } : {}))),
    before: 0,
  },
  {
    name: "the id of the owner's device, which a thief of a session saw in the list, given by 10,000 addresses",
    days: 3,
    ownerDeviceId,
    minute: (world) =>
      burst(4, async () => {
        await world.ask(bot({ phoneNumber: unknownNumber(), deviceId: ownerDeviceId }))
        await world.tryCode(bot({ phoneNumber: unknownNumber(), deviceId: ownerDeviceId }), false)
      }),
    before: 0,
  },
]

/** Guesses at passwords. */
const guessesOfPasswords: readonly Attack[] = [
  {
    name: 'one password at many accounts, 10,000 addresses (10,000 accounts)',
    days: 40,
    minute: async (world) => {
      await world.tryPassword(bot(), false)
    },
    // The limits of a number are its own, so one account represents all.
    taken: (world, years) => byRealGuesses(world, years) * 10_000,
    before: oneAccountBefore * 10_000,
  },
  {
    name: 'passwords at one account, 10,000 addresses',
    days: 40,
    minute: (world) => burst(4, () => world.tryPassword(bot(), false)),
    taken: byRealGuesses,
    before: oneAccountBefore,
  },
]

/** Attacks on many numbers with the messages of a day. */
const manyNumbers: readonly Attack[] = [
  {
    name: "a sweep for messages through the owner's range of numbers, 10,000 addresses",
    days: 3,
    minute: (world) =>
      burst(20, () => {
        const phoneNumber = `+861380000${String(1_000 + (lastUnknown++ % 4_000)).padStart(4, '0')}`
        return world.ask(bot({ phoneNumber }), 'without_account')
      }),
    before: 0,
  },
  {
    name: 'codes guessed at many numbers, 10,000 addresses (all messages of a day)',
    days: 3,
    minute: (world) => burst(5, () => guessAtAnother(world)),
    taken: byRealGuesses,
    before: installationBefore,
  },
]

/** The attacks of docs/limits.md. `before` is computed from the limits of commit f453b6e. */
async function attacks(limits: readonly Limit[]): Promise<Attack[]> {
  const twoCodes = await takenByTwoCodes(limits)
  return [...guessesOfCodes(twoCodes), ...keepingOut, ...guessesOfPasswords, ...manyNumbers]
}

/** A message to another account, and five guesses at its code. */
async function guessAtAnother(world: World): Promise<void> {
  const phoneNumber = unknownNumber()
  if ((await world.ask(bot({ phoneNumber }))) !== 'sent') return
  for (let i = 0; i < guessesPerCode; i++) {
    const attempt = await world.limiter.attempt(codeCheck, bot({ phoneNumber })).catch(() => null)
    if ((await attempt?.guess.count(true)) === 'allowed') world.realGuesses++
  }
}

function limitsAt(at: Numbers): readonly Limit[] {
  return limitsWith({ checks: signInChecks, smsDailyBudget: dailyBudget, ...numbers[at] })
}

/** @param names the attacks to simulate; all if absent */
export async function simulateAttacks(names?: readonly string[], at: Numbers = 'default'): Promise<Row[]> {
  const rows: Row[] = []
  const limits = limitsAt(at)
  for (const attack of await attacks(limits)) {
    if (names && !names.includes(attack.name)) continue
    lastBot = 0
    lastUnknown = 0
    rows.push(await simulate(attack, limits))
  }
  return rows
}

/** A duration in minutes, hours or days. */
function duration(minutes: number): string {
  if (minutes > 7 * 24 * 60) return 'as long as it lasts'
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`
}

/** Accounts a year; below a tenth, also the years for one account. */
function rate(accounts: number): string {
  if (accounts === 0) return '0'
  const text = accounts.toPrecision(2)
  return accounts < 0.1
    ? `${Number(text)} (one in ${Math.round(1 / accounts).toLocaleString('en')} years)`
    : String(Number(text))
}

export async function attackNames(): Promise<string[]> {
  return (await attacks(limitsAt('default'))).map(({ name }) => name)
}

/** The rows of the table in docs/limits.md. */
export function printed(rows: readonly Row[]): string[][] {
  return rows.map(({ attack, keptOut, taken }) => [
    attack,
    duration(keptOut.withProof),
    duration(keptOut.withoutProof),
    rate(taken.now),
    rate(taken.before),
  ])
}

function isNumbers(word: string): word is Numbers {
  return Object.hasOwn(numbers, word)
}

if (import.meta.main) {
  const [at = 'default'] = process.argv.slice(2)
  if (!isNumbers(at)) throw new Error(`Say one of: ${Object.keys(numbers).join(', ')}`)
  console.log(
    '| attack | owner kept out, with a device proof | without | accounts taken a year | at f453b6e |',
  )
  console.log('|---|--:|--:|--:|--:|')
  for (const cells of printed(await simulateAttacks(undefined, at))) console.log(`| ${cells.join(' | ')} |`)
}
