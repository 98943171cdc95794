// Gives a session's token a successor, and retires the token before it when the successor is first used.
import type { Clock } from '../clock.ts'
import type { Database } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { accountStateAt } from './account-state.ts'
import { insertChange } from './change-rows.ts'
import type { Copies } from './copies.ts'
import { hasTimeLeft } from './session.ts'
import {
  findNonce,
  findSession,
  lockAccount,
  retirePreviousToken,
  rotateToken,
  type StoredSession,
} from './session-rows.ts'
import { familyHashOf, hashToken, newNonce, successorOf } from './token.ts'
import { type Proof, standingOf } from './token-standing.ts'

export interface RotationsOptions {
  readonly db: Database
  readonly copies: Copies
  readonly clock: Clock
}

/** Both are writers like any other: lock, mark, commit, settle (copies.ts). */
export class Rotations {
  readonly #db: Database
  readonly #copies: Copies
  readonly #clock: Clock

  constructor({ db, copies, clock }: RotationsOptions) {
    this.#db = db
    this.#copies = copies
    this.#clock = clock
  }

  /**
   * The successor of a token of this account: a new one for the session's token, the same one again for the token
   * before it.
   * @returns null where the token is good no more
   */
  async rotate(proof: Proof, accountId: string): Promise<string | null> {
    const work = await inTransaction(this.#db, async (tx) => {
      await lockAccount(tx, accountId)
      const now = this.#clock.now()
      const stored = await findSession(tx, proof.id)
      if (!stored || !isLive(stored, now)) return null
      const standing = standingOf(stored, proof, now)
      if (standing === 'previous') {
        const nonce = await findNonce(tx, proof.id)
        return nonce === null ? null : { successor: successorOf(proof.token, nonce), written: null }
      }
      if (standing !== 'current' && standing !== 'successor') return null
      const mark = await this.#copies.mark([proof.id])
      const successor = await writeSuccessor(tx, proof, now)
      const rotated = await findSession(tx, proof.id)
      const position = await insertChange(tx, accountId, now)
      await this.#copies.confirm(mark)
      return { successor, written: { mark, rotated, position } }
    })
    if (work?.written) {
      const { mark, rotated, position } = work.written
      await this.#copies.settle(mark, rotated ? [rotated] : [], position)
    }
    return work?.successor ?? null
  }

  /** Retires the token before this one, and returns the session as it is then; null where there is none. */
  async retirePrevious({ id, tokenHash }: Proof, accountId: string): Promise<StoredSession | null> {
    const work = await inTransaction(this.#db, async (tx) => {
      await lockAccount(tx, accountId)
      const mark = await this.#copies.mark([id])
      await retirePreviousToken(tx, { id, tokenHash })
      const retired = await findSession(tx, id)
      const position = await insertChange(tx, accountId, this.#clock.now())
      await this.#copies.confirm(mark)
      return { mark, retired, position }
    })
    await this.#copies.settle(work.mark, work.retired ? [work.retired] : [], work.position)
    return work.retired
  }
}

function isLive({ ending, session, account }: StoredSession, now: number): boolean {
  return ending === null && hasTimeLeft(session, now) && accountStateAt(account, now) === 'active'
}

async function writeSuccessor(tx: Database, { id, token, tokenHash }: Proof, now: number): Promise<string> {
  const nonce = newNonce()
  const successor = successorOf(token, nonce)
  const hashes = {
    tokenHash: hashToken(successor),
    previousTokenHash: tokenHash,
    familyHash: familyHashOf(token),
  }
  await rotateToken(tx, { id, ...hashes, nonce, at: now })
  return successor
}
