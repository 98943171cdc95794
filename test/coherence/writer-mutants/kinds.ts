// The kinds of write, each on an existing session: all of them use the same steps of the writer.
import { noOrigin } from '../../../src/events/events.ts'
import type { Caller } from '../../../src/sessions/caller.ts'
import { admitKnown } from '../../../src/sessions/sessions.ts'
import { hashToken } from '../../../src/sessions/token.ts'
import { addAccount, type Domain, phone, signIn } from '../../support/in-process-server.ts'

/** The session whose cache entry the write makes outdated, and its token. */
export interface Before {
  readonly accountId: string
  readonly id: string
  readonly token: string
}

export interface Kind {
  readonly name: string
  readonly prepare: (domain: Domain) => Promise<Before>
  /** Rejects, or does nothing, if another write came first. */
  readonly write: (domain: Domain, before: Before, by: Caller | null) => Promise<unknown>
  /** A session can request it, and not only the server. */
  readonly hasCaller: boolean
  /** The session has a cache entry afterwards, because its row still exists. */
  readonly leavesEntry: boolean
}

const fingerprint = hashToken('a request that is sent again')

async function signedIn(domain: Domain): Promise<Before> {
  const accountId = await addAccount(domain.db)
  const { session, token } = await signIn(domain, accountId)
  return { accountId, id: session.id, token }
}

async function withSuccessor(domain: Domain): Promise<Before> {
  const before = await signedIn(domain)
  const rotated = await domain.verification.rotate(before.token)
  if (rotated.is !== 'live') throw new Error(`the token is ${rotated.is}`)
  return { ...before, token: rotated.token }
}

/** A sign-in whose response may get lost. */
async function signedInRepeatably(domain: Domain): Promise<Before> {
  const accountId = await addAccount(domain.db)
  const admit = admitKnown(accountId)
  const request = { device: phone, origin: noOrigin, method: 'password', fingerprint, admit } as const
  const issued = await domain.sessions.issue(request)
  if (!issued) throw new Error('the sign-in was refused')
  return { accountId, id: issued.session.id, token: issued.token }
}

async function repeat(domain: Domain, { accountId, id }: Before): Promise<void> {
  const session = (await domain.sessions.list(accountId)).find((one) => one.id === id)
  // Without a key its token cannot be made again, as that of a server of the version before: it gets another.
  const repeats = session && { session, fingerprint, tokenHash: hashToken(id), nonce: null }
  const admit = async (tx: Parameters<ReturnType<typeof admitKnown>>[0]) => {
    const admission = await admitKnown(accountId)(tx)
    return admission && repeats ? { ...admission, repeats } : null
  }
  await domain.sessions.issue({ device: phone, origin: noOrigin, method: 'password', admit })
}

export const kinds: readonly Kind[] = [
  {
    name: 'a sign-in that replaces a session',
    prepare: signedIn,
    write: (domain, { accountId }) => signIn(domain, accountId),
    hasCaller: false,
    leavesEntry: true,
  },
  {
    name: 'the end of a session',
    prepare: signedIn,
    write: ({ sessions }, { accountId, id }, by) => sessions.end({ accountId, id, by, reason: 'kicked' }),
    hasCaller: true,
    leavesEntry: true,
  },
  {
    name: 'the end of all sessions',
    prepare: signedIn,
    write: ({ sessions }, { accountId }, by) =>
      sessions.endAll({ accountId, by, reason: 'kicked', except: null }),
    hasCaller: true,
    leavesEntry: true,
  },
  {
    name: 'a change of an account',
    prepare: signedIn,
    write: ({ writer }, { accountId }, by) => {
      const decide = async () => ({ set: { nickname: 'new' } })
      return writer.update({ accountId, by, origin: noOrigin, decide })
    },
    hasCaller: true,
    leavesEntry: true,
  },
  {
    name: 'the removal of an account',
    prepare: signedIn,
    write: ({ writer }, { accountId }, by) =>
      writer.update({ accountId, by, origin: noOrigin, decide: async () => ({ set: null }) }),
    hasCaller: true,
    leavesEntry: false,
  },
  {
    name: 'a rotation',
    prepare: signedIn,
    write: ({ verification }, { token }) => verification.rotate(token),
    hasCaller: false,
    leavesEntry: true,
  },
  {
    name: 'the first use of a successor',
    prepare: withSuccessor,
    write: async ({ verification }, { token }) => verification.verify(token),
    hasCaller: false,
    leavesEntry: true,
  },
  {
    name: 'the repeat of a sign-in',
    prepare: signedInRepeatably,
    write: repeat,
    hasCaller: false,
    leavesEntry: true,
  },
]
