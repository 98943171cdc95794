// The rules of the protocol, each of which can be left out, and the worlds in which the model is searched:
// few writers and few faults each.

export interface Rules {
  /** A writer takes the account's lock before it marks. sessions.ts, rotation.ts */
  readonly locksFirst: boolean
  /** A sign-in reads under the lock which sessions are live. Sessions.issue */
  readonly decidesUnderLock: boolean
  /** A writer that touches a session marks its entry before it commits. SessionCache.mark */
  readonly marks: boolean
  /** Before it commits, it checks that its mark is where readers look now. RedisSessionCache.confirm */
  readonly confirms: boolean
  /** A mark outlives the transaction that set it: 60 s against 10 s, and 30 s in `confirm`. */
  readonly marksOutliveWriters: boolean
  /** Entries of written sessions are replaced after the commit. */
  readonly settlesAfterCommit: boolean
  /** A settle replaces only its own mark. settleScript */
  readonly settleCompares: boolean
  /** A settle that finds no mark, neither its own nor another, sets one. settleScript */
  readonly settleMarksAgain: boolean
  /**
   * When a writer waits after its commit until every process has read the feed or trusts no entry
   * (RedisSessionCache.settle). `whereUnmarked`: if it had not marked and could not settle. `unlessSettled`,
   * the rule of the code: unless it settled in the Redis process that had its mark.
   */
  readonly waits: 'never' | 'whereUnmarked' | 'unlessSettled'
  /** A fill does not replace a mark. fillScript */
  readonly markForbidsFill: boolean
  /** A fill replaces only an entry with an earlier position. fillScript */
  readonly fillsOnlyOlder: boolean
  /**
   * A fill also replaces an entry with the same position, which a server of an older version has written.
   * fillScript
   */
  readonly fillsOverTies: boolean
  /**
   * A fill is done within 10 s of the start of its read, before a mark that was set after that start expires.
   * fillWithinMs
   */
  readonly fillsInTime: boolean
  /** A fill goes only to the Redis process that was there when its read began. ReadTicket.run */
  readonly fillsSameRun: boolean
  /** Position and run of a read are taken before the database is read. SessionCache.beginRead */
  readonly ticketBeforeRead: boolean
  /** Keys contain the run id, so that another Redis process starts empty. RedisConnection.key */
  readonly runInKeys: boolean
  /** A process that loses its connection drops its memory. RedisConnections.drop */
  readonly forgetsWithLink: boolean
  /** An entry is not kept in memory if a message has invalidated its key meanwhile. ClientSideCache.read */
  readonly invalidatedIsNotKept: boolean
  /** An invalidation message removes the entry from memory. ClientSideCache.invalidate */
  readonly messagesForget: boolean
  /**
   * An entry is not trusted if its position is before the account's last change in the feed.
   * RedisSessionCache.#isCurrentInFeed
   */
  readonly positionsCount: boolean
  /** A change in the feed removes the account's entry from memory. RedisSessionCache.forgetAccount */
  readonly feedForgets: boolean
  /** A process that has not read the feed lately trusts no entry. RedisSessionCache.#mayTrust */
  readonly freshness: boolean
  /** Freshness counts from the start of a read of the feed, not from its end. Feed.#tryRead */
  readonly freshFromBeginning: boolean
  /**
   * The feed's position is the greatest step that was visible some time before a read. Since then, every
   * change with such a step has been committed or is late. Feed.#settle
   */
  readonly waitsForOpen: boolean
  /** A writer whose commit was late writes its change once more. announceLate of late-changes.ts */
  readonly announcesLate: boolean
  /** A process that reads the feed notices that the database has lost commits. Feed.#read */
  readonly noticesLoss: boolean
  /** An entry contains the history of the database that it was read in. RedisSessionCache.#parse */
  readonly historyInEntries: boolean
  /** The step of a change is greater than all visible ones. insertChange */
  readonly stepsFollow: boolean
}

/** The rules of the code. */
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
 * What a writer does. The watched session is A, which exists at the start, or B, which the first writer
 * creates.
 * - `signIn`: creates a session and replaces the live one, because one session is allowed
 * - `end`: ends the watched session
 * - `change`: changes the account, or rotates a token, which affects the watched session if it is live
 * - `endOther`: ends another session of the account: a change in the feed, and no mark for the watched
 *   session
 */
export type Operation = 'signIn' | 'end' | 'change' | 'endOther'

export interface Writer {
  readonly on: 0 | 1
  readonly does: Operation
}

/** The operations of the writers, and the faults that may happen. */
export interface World {
  /**
   * Which changes a check must reflect while Redis works: all that are committed (the default, and stronger
   * than what is promised), or all that are answered.
   */
  readonly since?: 'commit' | 'answer'
  readonly watched: 'A' | 'B'
  readonly writers: readonly [Writer] | readonly [Writer, Writer]
  /** How many of the faults below may happen, from `databaseLoses` on. */
  readonly faults?: number
  /**
   * Writers may crash at any step. The crash of a process is the crash of a writer and the loss of a
   * connection.
   */
  readonly crashes?: boolean
  /** The database may be unreachable for a process, which then cannot read the feed. */
  readonly staleFeeds?: boolean
  /**
   * A read of the database takes time after it has taken its ticket. Otherwise both are one step, and a later
   * read is newer.
   */
  readonly slowReads?: boolean
  /** A read of the feed takes time. */
  readonly slowFeeds?: boolean
  /** Another account has a change in the feed. */
  readonly otherAccount?: boolean
  /** Writers take their steps as soon as they have locked; otherwise with their last statements. */
  readonly stepsAtLock?: boolean
  /** A commit may take so long that the feed's position passes the step of its change. */
  readonly lateCommits?: boolean
  /** The database may lose its last commit: a lagging replica takes over, or a backup is restored. */
  readonly databaseLoses?: boolean
  /** Redis may crash, and start as another process, empty or with old data under the old keys. */
  readonly redisCrashes?: boolean
  /** A process may lose its connection to Redis, and open another one. */
  readonly connectionsBreak?: boolean
  /**
   * A connection may stall for a while before the process closes it. Redis may have done the process's last
   * command, or not, or may do it late.
   */
  readonly connectionsStall?: boolean
  /** The second process may connect to another Redis process than the first. */
  readonly redisSplits?: boolean
  /** Redis may lose its data, marks included, and keep running: a flush, an eviction. */
  readonly redisForgets?: boolean
}
