// The capacity table: what a day asks of each part, by the number of daily users. It is computed from
// measured unit costs and the assumptions below, and from nothing else.

/** Of one operation, or of one row. */
export interface Cost {
  readonly statements: number
  /** Written or deleted. */
  readonly rows: number
  /** Of the redo log (MariaDB) or the WAL (PostgreSQL). */
  readonly bytes: number
  /** CPU of the database. */
  readonly databaseMs: number
  /** CPU of Hufu, without HTTP. */
  readonly serverMs: number
}

export const operations = ['sign-in', 'sign-out', 'rotation', 'miss', 'use'] as const
export type Operation = (typeof operations)[number]

export interface UnitCosts {
  readonly database: string
  readonly operations: Readonly<Record<Operation, Cost>>
  /** Bytes of a row with its indexes. */
  readonly rowBytes: { readonly account: number; readonly session: number; readonly event: number }
  /** How long a sign-in that replaces a session holds the account's lock, commit included. */
  readonly lockMs: { readonly p50: number; readonly p99: number }
  /** Servers that follow the feed while nothing happens. */
  readonly followers: {
    readonly count: number
    readonly statementsPerSecond: number
    /** CPU of the database, in cores. */
    readonly cores: number
  }
}

export interface Measured {
  readonly machine: string
  readonly units: readonly UnitCosts[]
  /** Statements of a sign-in by password with everything around its transaction. */
  readonly passwordSignInStatements: number
  readonly redisBytes: { readonly session: number; readonly use: number }
  /** From results.json: checks in one process, and argon2 in one thread. */
  readonly checksPerProcess: number
  readonly hashesPerThread: number
  readonly simulation: readonly Compared[]
}

/** A phase of the simulated day: the rates that were driven, what the table's rule predicts, and what was. */
export interface Compared {
  readonly phase: string
  readonly predicted: { readonly statements: number; readonly rows: number; readonly bytes: number }
  readonly measured: { readonly statements: number; readonly rows: number; readonly bytes: number }
}

/** What a user does on a day, and how the day is distributed. Change these for your app. */
export const day = {
  accountsPerUser: 3,
  sessionsPerUser: 1.3,
  checks: 200,
  /** Times that the app is opened after a pause: each time its session is in no memory any more. */
  opens: 8,
  /** Hours with a use: each costs one write of `seen_at` for each session. */
  hours: 4,
  signIns: 0.05,
  signOuts: 0.01,
  rotations: 0,
  /** The busiest second against the mean of the day. */
  peak: 3,
  /** The share of the daily users whose apps are open at the peak: after an outage all of them come back. */
  online: 0.05,
  stormSeconds: 60,
  /** A push message to all brings this share within this time. */
  wave: 0.2,
  waveSeconds: 300,
  keptDays: 180,
} as const

/** One primary of the database, one Redis and their disks, with which needs are compared. */
const usual = {
  databaseCores: 8,
  statementsPerSecond: 20_000,
  redisGb: 8,
  diskGb: 1_000,
  share: 0.5,
} as const

export interface Rates {
  readonly checks: number
  readonly operations: Readonly<Record<Operation, number>>
}

/** The rates of the busiest second: as on every day, with a wave, or in the storm after an outage. */
export function ratesOf(users: number, at: 'peak' | 'wave' | 'storm'): Rates {
  const perSecond = (perUser: number) => (users * perUser * day.peak) / 86_400
  const more = {
    peak: 0,
    wave: (users * day.wave) / day.waveSeconds,
    storm: (users * day.online) / day.stormSeconds,
  }[at]
  return {
    checks: perSecond(day.checks) + more,
    operations: {
      'sign-in': perSecond(day.signIns),
      'sign-out': perSecond(day.signOuts),
      rotation: perSecond(day.rotations),
      miss: perSecond(day.opens) + more,
      use: perSecond(day.hours * day.sessionsPerUser),
    },
  }
}

/** A sum over operations of one part of their costs, per second. */
export function load({ operations: rates }: Rates, units: UnitCosts, part: keyof Cost): number {
  return operations.reduce((sum, name) => sum + rates[name] * units.operations[name][part], 0)
}

interface Capacity {
  readonly users: number
  readonly checks: number
  readonly signIns: number
  readonly statements: number
  readonly rows: number
  readonly bytesPerDay: number
  readonly disk: number
  readonly redis: number
  readonly processes: number
  readonly databaseCores: number
  readonly first: 'server' | 'statements' | 'database' | 'redis' | 'disk'
}

const userCounts = [10_000, 100_000, 1_000_000, 10_000_000] as const

/** What this many daily users need in their worst second. */
function capacityOf(users: number, measured: Measured): Capacity {
  const [units] = measured.units
  if (!units) throw new Error('no unit costs were measured')
  const worst = (['peak', 'wave', 'storm'] as const)
    .map((at) => ratesOf(users, at))
    .reduce((a, b) => (load(a, units, 'statements') > load(b, units, 'statements') ? a : b))
  const { checks, operations: rates } = worst
  const around = measured.passwordSignInStatements - units.operations['sign-in'].statements
  const cores =
    checks / measured.checksPerProcess +
    rates['sign-in'] / measured.hashesPerThread +
    load(worst, units, 'serverMs') / 1000
  const processes = Math.max(1, Math.ceil(cores / usual.share))
  const feeds = (processes * units.followers.statementsPerSecond) / units.followers.count
  const statements = load(worst, units, 'statements') + rates['sign-in'] * around + feeds
  const needs = {
    statements,
    databaseCores:
      load(worst, units, 'databaseMs') / 1000 + (processes * units.followers.cores) / units.followers.count,
    disk: diskOf(users, units),
    redis: redisOf(users, measured),
  }
  return {
    users,
    checks,
    signIns: rates['sign-in'],
    rows: load(worst, units, 'rows'),
    bytesPerDay: bytesOfDay(users, units),
    processes,
    first: firstOf(needs, cores),
    ...needs,
  }
}

function bytesOfDay(users: number, { operations: costs }: UnitCosts): number {
  const { signIns, signOuts, rotations, hours, sessionsPerUser } = day
  const written =
    signIns * costs['sign-in'].bytes +
    signOuts * costs['sign-out'].bytes +
    rotations * costs.rotation.bytes +
    hours * sessionsPerUser * costs.use.bytes
  return users * written
}

function diskOf(users: number, { rowBytes }: UnitCosts): number {
  const { accountsPerUser, sessionsPerUser, signIns, signOuts, keptDays } = day
  const accounts = users * accountsPerUser
  // A sign-in records itself and the end of the session that it replaces.
  const events = users * keptDays * (2 * signIns + signOuts)
  const sessions = accounts * sessionsPerUser + users * keptDays * signIns
  return accounts * rowBytes.account + sessions * rowBytes.session + events * rowBytes.event
}

/** Cache entries live for ten minutes, last uses for two hours. */
function redisOf(users: number, { redisBytes }: Measured): number {
  const opensPerSecond = (users * day.opens * day.peak) / 86_400
  const within = (seconds: number) =>
    Math.min(users * day.sessionsPerUser, opensPerSecond * seconds + users * day.wave)
  return within(600) * redisBytes.session + within(7_200) * redisBytes.use
}

function firstOf(
  needs: Pick<Capacity, 'statements' | 'databaseCores' | 'disk' | 'redis'>,
  serverCores: number,
): Capacity['first'] {
  const shares = {
    statements: needs.statements / usual.statementsPerSecond,
    database: needs.databaseCores / usual.databaseCores,
    redis: needs.redis / 2 ** 30 / usual.redisGb,
    disk: needs.disk / 2 ** 30 / usual.diskGb,
    // Servers are added one by one, so they are named only where nothing else is used much.
    server: Math.min(serverCores, usual.share / 10),
  }
  return (Object.entries(shares) as [Capacity['first'], number][]).reduce((a, b) => (b[1] > a[1] ? b : a))[0]
}

const words = {
  en: {
    head: '| daily users | checks/s | sign-ins/s | statements/s | rows/s | log of the database per day | its disk | Redis | processes of Hufu | cores of the database | first to run out |',
    first: {
      server: 'cores of Hufu',
      statements: 'statements of the database',
      database: 'cores of the database',
      redis: 'memory of Redis',
      disk: 'disk of the database',
    },
  },
  zh: {
    head: '| 日活用户 | 校验/秒 | 登录/秒 | 语句/秒 | 行/秒 | 数据库每天的日志 | 数据库磁盘 | Redis | Hufu 进程数 | 数据库核数 | 最先不足的 |',
    first: {
      server: 'Hufu 的核数',
      statements: '数据库的语句数',
      database: '数据库的核数',
      redis: 'Redis 的内存',
      disk: '数据库的磁盘',
    },
  },
} as const

/** The table between the markers of docs/operations.md. */
export function capacityTable(measured: Measured, language: 'en' | 'zh'): string {
  const { head, first } = words[language]
  const rows = userCounts.map((users) => {
    const one = capacityOf(users, measured)
    const cells = [
      users.toLocaleString('en-US'),
      figure(one.checks),
      figure(one.signIns),
      figure(one.statements),
      figure(one.rows),
      size(one.bytesPerDay),
      size(one.disk),
      size(one.redis),
      one.processes,
      figure(one.databaseCores),
      first[one.first],
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [head, `|${'--:|'.repeat(10)}---|`, ...rows].join('\n')
}

/** Two digits that matter. */
export function figure(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en-US', { maximumSignificantDigits: 2 })
}

export function size(bytes: number): string {
  const [unit, by] = bytes >= 2 ** 30 ? (['GiB', 2 ** 30] as const) : (['MiB', 2 ** 20] as const)
  return `${figure(bytes / by)} ${unit}`
}
