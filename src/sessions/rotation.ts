// Gives a session's token a successor, and retires the token before it when the successor is first used.
import { randomText } from '../random-text.ts'
import { type AccountWriter, type Decision, lockById } from './account-writer.ts'
import { isStillLive, type StoredSession } from './session.ts'
import { findSession } from './session-rows.ts'
import { familyHashOf, hashToken, successorOf } from './token.ts'
import { findNonce } from './token-rows.ts'
import { type PresentedToken, tokenStatusOf } from './token-status.ts'

export class Rotations {
  readonly #writer: AccountWriter

  constructor(writer: AccountWriter) {
    this.#writer = writer
  }

  /**
   * The successor of a token of this account: a new one for the current token, the same one again for the
   * previous token.
   * @returns null where the token is no longer valid
   */
  async rotate(presented: PresentedToken, accountId: string): Promise<string | null> {
    const { result } = await this.#writer.write({
      lock: lockById(accountId),
      by: null,
      decide: async (_locked, tx, now): Promise<Decision<string | null>> => {
        const stored = await findSession(tx, presented.id)
        if (!stored || stored.ending || !isStillLive(stored, now)) return { change: null, result: null }
        switch (tokenStatusOf(stored, presented, now)) {
          case 'previous': {
            const nonce = await findNonce(tx, presented.id)
            return { change: null, result: nonce === null ? null : successorOf(presented.token, nonce) }
          }
          case 'current':
          case 'successor':
            return rotated(presented, now)
          default:
            return { change: null, result: null }
        }
      },
    })
    return result
  }

  /** Retires the token before this one, and returns the session as it is then; null where there is none. */
  async retirePrevious({ id, tokenHash }: PresentedToken, accountId: string): Promise<StoredSession | null> {
    const { sessions } = await this.#writer.write({
      lock: lockById(accountId),
      by: null,
      decide: async () => ({ change: { token: { is: 'confirmed', id, tokenHash } }, result: null }),
    })
    return sessions[0] ?? null
  }
}

function rotated({ id, token, tokenHash }: PresentedToken, now: number): Decision<string> {
  const nonce = randomText(16)
  const successor = successorOf(token, nonce)
  const to = {
    id,
    tokenHash: hashToken(successor),
    previousTokenHash: tokenHash,
    familyHash: familyHashOf(token),
    nonce,
    at: now,
  }
  return { change: { token: { is: 'rotated', to } }, result: successor }
}
