// The rules of the protocol, each of which can be left out, and the small worlds in which it is searched.

export interface Rules {
  /** A writer takes the account's lock before it marks. sessions.ts, rotation.ts */
  readonly locksFirst: boolean
  /** A sign-in reads under the lock which sessions are live. Sessions.issue */
  readonly decidesUnderLock: boolean
  /** A writer that touches a session marks its entry before it commits. SessionCache.mark */
  readonly marks: boolean
  /** Before it commits, it looks whether the mark stands where readers look now. RedisSessionCache.confirm */
  readonly confirms: boolean
  /** A mark outlives the transaction that set it: 60 s against 10 s, and 30 s in `confirm`. */
  readonly marksOutliveWriters: boolean
  /** Entries of written sessions are replaced after the commit. */
  readonly settlesAfterCommit: boolean
  /** A settle replaces only its own mark. settleScript */
  readonly settleCompares: boolean
  /** A settle that finds neither a mark nor its own marks again. settleScript */
  readonly settleMarksAgain: boolean
  /**
   * When a writer waits after its commit until every process has read the feed or trusts no entry
   * (RedisSessionCache.settle): where nothing was marked and the settle could not be made; or, which is the
   * rule that holds, unless the settle was done in the Redis process where the mark stood.
   */
  readonly waits: 'never' | 'whereUnmarked' | 'unlessSettled'
  /** A fill does not write over a mark. fillScript */
  readonly markForbidsFill: boolean
  /** A fill writes only over an entry from an earlier position. fillScript */
  readonly fillsOnlyOlder: boolean
  /**
   * A fill writes over an entry from the same position too: one that a server of an older version has
   * written. fillScript
   */
  readonly fillsOverTies: boolean
  /**
   * A fill comes within 10 s of the beginning of its read: sooner than a mark of after that beginning runs
   * out. fillWithinMs
   */
  readonly fillsInTime: boolean
  /** A fill goes only to the Redis process that was there when its read began. ReadTicket.run */
  readonly fillsSameRun: boolean
  /** Position and run of a read are taken before the database is read. SessionCache.beginRead */
  readonly ticketBeforeRead: boolean
  /** Keys carry the run id, so that another Redis process begins with nothing. RedisConnection.key */
  readonly runInKeys: boolean
  /** With its connection, everything that a process remembers goes. RedisConnections.drop */
  readonly forgetsWithLink: boolean
  /** An answer is not remembered if a message about its key came before it was kept. ClientSideCache.read */
  readonly invalidatedIsNotKept: boolean
  /** Messages about keys make a process forget. ClientSideCache.invalidate */
  readonly messagesForget: boolean
  /**
   * An entry from before the account's last change that the feed told is not trusted.
   * RedisSessionCache.#isCurrentInFeed
   */
  readonly positionsCount: boolean
  /**
   * What the feed tells makes a process forget what it remembers of the account.
   * RedisSessionCache.forgetAccount
   */
  readonly feedForgets: boolean
  /** A process that has not read the feed lately trusts no entry. RedisSessionCache.#mayTrust */
  readonly freshness: boolean
  /**
   * What was read of the feed is fresh from the beginning of the reading on, not from its end. Feed.#tryRead
   */
  readonly freshFromBeginning: boolean
  /**
   * The feed's position is the greatest step that was known some time before a reading: by then, every change
   * with such a step was committed or late. Feed.#settle
   */
  readonly waitsForOpen: boolean
  /** A writer whose commit was late writes its change once more. AccountWriter.#announceLate */
  readonly announcesLate: boolean
  /** A process that reads the feed notices that the database has lost commits. Feed.#read */
  readonly noticesLoss: boolean
  /** An entry carries the history of the database that it was read in. RedisSessionCache.#parse */
  readonly historyInEntries: boolean
  /** A change has a greater step than all that are visible. insertChange */
  readonly stepsFollow: boolean
}

/** All of them, as in the code. */
export const designed: Rules = {
  locksFirst: true,
  decidesUnderLock: true,
  marks: true,
  confirms: true,
  marksOutliveWriters: true,
  settlesAfterCommit: true,
  settleCompares: true,
  settleMarksAgain: true,
  waits: 'unlessSettled',
  markForbidsFill: true,
  fillsOnlyOlder: true,
  fillsOverTies: false,
  fillsInTime: true,
  fillsSameRun: true,
  ticketBeforeRead: true,
  runInKeys: true,
  forgetsWithLink: true,
  invalidatedIsNotKept: true,
  messagesForget: true,
  positionsCount: true,
  feedForgets: true,
  freshness: true,
  freshFromBeginning: true,
  waitsForOpen: true,
  announcesLate: true,
  noticesLoss: true,
  historyInEntries: true,
  stepsFollow: true,
}

/**
 * What a writer does. The session that is watched is A, there from the start, or B, which the first writer
 * makes.
 * - `signIn`: makes a session, in a place for one: the live session is replaced
 * - `end`: ends the watched session
 * - `change`: changes the account (or rotates a token): the watched session, where it is live, is touched
 * - `endOther`: ends another session of the account: a change in the feed, and no mark on the watched one
 */
export type Operation = 'signIn' | 'end' | 'change' | 'endOther'

export interface Writer {
  readonly on: 0 | 1
  readonly does: Operation
}

/** The operations of the writers, and the faults that may happen. */
export interface World {
  /**
   * From when on a change must be seen where Redis works: as soon as it is committed (the default, and
   * stronger than what is promised), or as soon as it is answered.
   */
  readonly since?: 'commit' | 'answer'
  readonly watched: 'A' | 'B'
  readonly writers: readonly [Writer] | readonly [Writer, Writer]
  /** How many of the faults named last may happen: of Redis and of the lines to it. */
  readonly faults?: number
  /** Writers may die anywhere. A process that dies is a writer that dies and a connection that is lost. */
  readonly deaths?: boolean
  /** The database may be away for a process, so that it cannot read the feed. */
  readonly staleFeeds?: boolean
  /**
   * Reading the database takes time after its ticket was taken. Else both are one: a later read is a newer
   * one.
   */
  readonly slowReads?: boolean
  /** Reading the feed takes time. */
  readonly slowFeeds?: boolean
  /** Another account has a change in the feed, too. */
  readonly stranger?: boolean
  /** The commit of the first writer may take so long that the feed's position passes its step. */
  readonly lateCommits?: boolean
  /** The database may lose its last commit: a replica that was behind takes over, or a backup is restored. */
  readonly databaseLoses?: boolean
  /** Redis may die, and come back as another process, empty or with old data under the old keys. */
  readonly redisDies?: boolean
  /** A process may lose its line to Redis, and find a new one. */
  readonly linesBreak?: boolean
  /**
   * A line may be silent for a while before the process gives it up. What it sent may be done, not be done,
   * or be done late.
   */
  readonly linesFallSilent?: boolean
  /** The second process may be led to another Redis process than the first. */
  readonly redisSplits?: boolean
  /** Redis may lose what it holds, marks too, and lives on: flush, eviction. */
  readonly redisForgets?: boolean
}
