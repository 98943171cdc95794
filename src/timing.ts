// The times on which the validity of cached sessions depends. timing.test.ts checks each inequality between
// them that the proof in docs/coherence.md uses; a change that breaks one makes that test fail.

/** The longest that one statement of a request waits for its answer. */
export const statementMs = 5_000
/** A transaction that takes longer does not commit. */
export const transactionMs = 10_000
/** The same limit for a transaction that writes to very many sessions, statement by statement. */
export const longTransactionMs = 30_000

/** A Redis command that takes longer fails, and its connection is closed. */
export const redisCommandMs = 500

/**
 * A process trusts cache entries for this long after a reading of the change feed began. docs/guarantees.md
 * states this bound.
 */
export const freshMs = 1_000
/** The pause between two readings of the feed. */
export const readFeedEveryMs = 250
/**
 * After this wait every process has either begun a reading of the feed since the commit, or trusts no cache
 * entry. The 20 ms are there because timers may fire a little early.
 */
export const everyoneKnowsMs = freshMs + 20
/** How far back a process reads the feed when it starts. */
export const feedStartMs = 20 * 60_000
/**
 * Readings of the feed expect a change to be visible within this time after the transaction that wrote it
 * began. A writer whose commit took longer writes its change once more before it answers.
 */
export const lateMs = 1_000
/**
 * The last changes are read again for this long, in case a writer whose commit took longer died before it
 * could do that.
 */
export const readAgainMs = 60_000
/**
 * Without a reading of the feed by any server for this long, the next server does not trust the entries of
 * the cache that it finds: the database may have been restored meanwhile.
 */
export const watchedMs = 2 * freshMs
/** How long changes stay in the feed. */
export const feedKeepMs = 3_600_000
/** The clocks of two servers differ at most by this much; `hufu doctor` warns far earlier. */
export const clockSkewMs = 5 * 60_000

/** The lifetime of a cache entry in Redis. */
export const cacheEntrySeconds = 600
/** The lifetime of a mark that its writer never settles. */
export const markSeconds = 60
/** A transaction does not commit when its marks are older than this. */
export const confirmWithinMs = 30_000
/** A read that began longer ago does not fill the cache. */
export const fillWithinMs = 10_000
/** A settle that finds no mark of its own blocks fills for this long. */
export const settleMarkSeconds = 15
/**
 * In the memory cache, a transaction on very many sessions blocks all fills for this long, if it never
 * settles.
 */
export const memoryMarkMs = 40_000

/**
 * A use before the end of a session may be written up to this long after that end, and then the session lives
 * on. Until then its end counts as open.
 */
export const mayLiveOnMs = 30_000
/**
 * A session that expired this long ago is written as ended: no use of it is still to be written, and no
 * server's clock says that it has time left.
 */
export const expiredForGoodMs = 3_600_000
/** A use that is written later than this does not extend a session that has expired since. */
export const lateUseMs = 10_000
/** How often the uses of sessions are written, in batches. */
export const noteUsesEveryMs = 5_000
