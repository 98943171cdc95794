// Mutants of the writer with one step of its protocol left out or moved: lock, check the caller, invalidate,
// write, feed, confirm, commit, settle.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { AccountWriter } from '../../../src/sessions/account-writer.ts'
import { thisVersion } from '../../support/other-versions.ts'
import type { Rules } from '../cache-model/rules.ts'
import {
  type Check,
  isInvalidBeforeCommit,
  isInvalidInLaterRedis,
  isKnownAfterDeath,
  isKnownWithoutRedis,
  isRefusedToEnded,
  isWaitingItsTurn,
  isWholeAfterDeathBeforeCommit,
  isWritten,
} from './checks.ts'

export interface Mutant {
  readonly name: string
  /** Lines of account-writer.ts and their replacements: a change of such a line needs a change here. */
  readonly changes: readonly (readonly [from: string, to: string])[]
  readonly foundBy: Check
  /** The rule that the mutant breaks, if the cache model has it. */
  readonly rule?: keyof Rules
}

const lock = 'const locked = await lock(tx)'
const mark = "const marking = this.#cache.mark(affected.isMany ? 'many' : affected.ids)"
const write = 'const { writes, account, ...applied } = await apply(tx, work)'
const nothing = '{ entry: null, deviceProof: null }'
const feed = 'needsFeed ? await writeChange(tx, writes, { work, lastStep: sessions.lastStep }) : null'
const confirm = '    await mark.confirm()\n'
const settle = 'await mark.settle(sessions, position)'
const settleAfterCommit = 'await this.#settle({ ...committed, position }, written.sessions)'
const endOfApply = 'isPending: affected.kept !== null,\n    }\n'
const account = "selectFrom('hufu_accounts').select('id').where('id', '=', decided.account.id)"

export const mutants: readonly Mutant[] = [
  {
    name: 'releases the lock at once',
    changes: [
      [lock, 'const locked = await lock(this.#db)'],
      // A write locks the row too.
      [mark, `${mark}\n    await marking`],
    ],
    foundBy: isWaitingItsTurn,
    rule: 'decidesUnderLock',
  },
  {
    name: 'locks only after it has marked',
    changes: [
      [lock, 'const locked = await lock(this.#db)'],
      [mark, `${mark}\n    await marking\n    await tx.${account}.forUpdate().execute()`],
    ],
    foundBy: isWaitingItsTurn,
    rule: 'locksFirst',
  },
  {
    name: 'does not check the caller again',
    changes: [['if (by) assertLive(await sessions.find(by.sessionId), by, now)', '']],
    foundBy: isRefusedToEnded,
  },
  {
    name: 'invalidates nothing',
    changes: [[mark, 'const marking = this.#cache.mark([])']],
    foundBy: isInvalidBeforeCommit,
    rule: 'marks',
  },
  {
    name: 'invalidates only after the commit',
    changes: [
      [mark, 'const marking = this.#cache.mark([])'],
      [settle, `await this.#cache.mark(sessions.map((one) => one.session.id))\n    ${settle}`],
    ],
    foundBy: isInvalidBeforeCommit,
    rule: 'marks',
  },
  {
    name: 'writes nothing',
    changes: [[write, `const [writes, { account }, applied] = [new WriteBatch(tx), work, ${nothing}]`]],
    foundBy: isWritten,
  },
  {
    name: 'leaves the change out of the feed',
    changes: [[feed, 'null']],
    foundBy: isKnownWithoutRedis,
    rule: 'positionsCount',
  },
  {
    name: 'writes the feed only after the commit',
    changes: [
      [feed, 'null'],
      [
        'if (committed) {',
        'if (committed) {\n      if (written.account) await insertChange(this.#db, written.account.id, 0)',
      ],
    ],
    foundBy: isKnownAfterDeath,
  },
  {
    name: 'does not confirm its marks',
    changes: [[confirm, '']],
    foundBy: isInvalidInLaterRedis,
    rule: 'confirms',
  },
  {
    name: 'confirms its marks only after the commit',
    changes: [
      [confirm, ''],
      [settle, `await mark.confirm()\n    ${settle}`],
    ],
    foundBy: isInvalidInLaterRedis,
    rule: 'confirms',
  },
  {
    name: 'commits only after it has settled',
    changes: [
      [endOfApply, `${endOfApply}    await this.#settle(committed, entries)\n`],
      [settleAfterCommit, ''],
    ],
    foundBy: isWholeAfterDeathBeforeCommit,
    rule: 'settlesAfterCommit',
  },
  {
    name: 'does not settle',
    changes: [[settle, '']],
    foundBy: isKnownWithoutRedis,
    rule: 'waits',
  },
]

/** Every check that a mutant fails. */
export const checks: ReadonlySet<Check> = new Set(mutants.map(({ foundBy }) => foundBy))

const file = join(thisVersion, 'src/sessions/account-writer.ts')

/**
 * The writer with these lines changed, from a file in `folder`. @throws where a line does not occur exactly
 * once
 */
export async function loadMutant(
  { name, changes }: Pick<Mutant, 'name' | 'changes'>,
  folder: string,
): Promise<typeof AccountWriter> {
  let text = readFileSync(file, 'utf8')
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2) throw new Error(`account-writer.ts has no one place with: ${from}`)
    text = text.replace(from, () => to)
  }
  const imported = text.replace(/ from '(\.[^']+)'/g, (_all, path: string) => {
    return ` from '${new URL(path, pathToFileURL(file)).pathname}'`
  })
  const copy = join(folder, `${name.replaceAll(' ', '-')}.ts`)
  writeFileSync(copy, imported)
  const module: { readonly AccountWriter: typeof AccountWriter } = await import(copy)
  return module.AccountWriter
}
