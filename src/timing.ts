// The times on which the truth of cached sessions rests. timing.test.ts holds each inequality between them that the proof in
// docs/architecture.md uses; a time that changes here and breaks one turns that test red.

/** One statement of a request waits at most so long for its answer. */
export const statementMs = 5_000
/** A transaction that takes longer does not commit. */
export const transactionMs = 10_000
/** The same for one that writes to very many sessions, statement by statement. */
export const longTransactionMs = 30_000

/** A Redis command that takes longer has failed, and its connection is given up. */
export const redisCommandMs = 500

/** So long after a reading of the change feed began, a process trusts cache entries. The bound that docs/guarantees.md states. */
export const freshMs = 1_000
/** The pause between two readings of the feed. */
export const readFeedEveryMs = 250
/**
 * After this wait every process has either begun a reading of the feed since the commit, or trusts no cache entry. Timers
 * may come a little early.
 */
export const everyoneKnowsMs = freshMs + 20
/** How far back a process reads the feed when it starts. */
export const feedStartMs = 20 * 60_000
/** A position of the feed that was given out is committed within this time or never. */
export const positionOpenMs = 60_000
/** Changes stay in the feed for so long. */
export const feedKeepMs = 3_600_000
/** The clocks of two servers differ at most by this much; `hufu doctor` warns far earlier. */
export const clockSkewMs = 5 * 60_000

/** A cache entry in Redis lives at most so long. */
export const cacheEntrySeconds = 600
/** A mark that invalidates a cache entry lives so long, if its writer never settles it. */
export const markSeconds = 60
/** A transaction that marked longer ago does not commit. */
export const confirmWithinMs = 30_000
/** A read that began longer ago fills no cache entry. */
export const fillWithinMs = 10_000
/** A settle that finds no mark of its own keeps fills away for so long. */
export const settleMarkSeconds = 15
/** In a process's own cache, a transaction on very many sessions keeps all fills away for so long, if it never settles. */
export const memoryMarkMs = 40_000

/** A session may turn out so long after its end to have been used before it, and live on. Its end counts as open until then. */
export const mayLiveOnMs = 30_000
/** A use that is noted later than this lengthens no session that has run out since. */
export const lateUseMs = 10_000
/** Uses of sessions are written in batches so often. */
export const noteUsesEveryMs = 5_000
