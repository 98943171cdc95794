// Programs that were broken on purpose: the checker must find each of them, or what it says of the real one
// is worth nothing. Each is a mistake that the tests of a lesser program would not see.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyVersion, type SourceChange } from '../support/other-versions.ts'
import type { Rule } from './checker.ts'
import { nothing } from './faults.ts'
import { openLimitedDeployment, startGuesses } from './workload-guesses.ts'
import { runScenario } from './scenario.ts'
import { openMariadbDeployment } from './deployment-proxied.ts'

export interface Mutant {
  readonly name: string
  /**
   * The mutants: lines of the source and their replacements. A change of such a line also changes this list.
   */
  readonly changes: readonly SourceChange[]
  readonly violates: Rule
  /** It is found where people guess, with the limits on. */
  readonly needsGuesses?: boolean
}

export const mutants: readonly Mutant[] = [
  {
    // A settle that violates no mark marks again, before the answer: that one has to go too.
    name: 'marks are left out, and no settle makes up for it',
    changes: [
      [
        'src/session-cache/redis.ts',
        'client.set(key, markPrefix + markId, { expiration })',
        'Promise.resolve(client)',
      ],
      [
        'src/session-cache/redis-client.ts',
        "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])\n    return 0",
        'return 0',
      ],
    ],
    violates: 'accepted after its end',
  },
  {
    name: 'a fill comes late and writes over what is there, and the feed is not looked at',
    changes: [
      [
        'src/session-cache/redis.ts',
        'await Promise.all(entries.map(fillOne))',
        'await sleep(50)\n    await Promise.all(entries.map(fillOne))',
      ],
      [
        'src/session-cache/redis-client.ts',
        'if not run then return 0 end\n      if run == ARGV[2] then',
        'if false then',
      ],
      ['src/session-cache/redis.ts', 'this.#lastChanges.isCurrent(bucket, position) ||', 'true ||'],
    ],
    violates: 'accepted after its end',
  },
  {
    name: 'a caller is not judged again, neither when its body is whole nor under the lock',
    changes: [
      [
        'src/http/authenticate.ts',
        "if (!request.signedIn || request.method === 'GET') return done()",
        'return done()',
      ],
      [
        'src/sessions/account-writer.ts',
        'if (by) await assertStillLive(tx, account?.id ?? by.accountId, by, now)',
        '',
      ],
    ],
    violates: 'effect after its end',
  },
  {
    name: 'the first use of a token does not end that its sign-in can be repeated',
    changes: [
      [
        'src/sessions/verification.ts',
        "if (!ending && status === 'successor') return this.#acceptSuccessor(proof, session)",
        '',
      ],
    ],
    violates: 'a used token was taken over',
  },
  {
    name: 'the UPDATE that uses up a code has no guard',
    changes: [
      [
        'src/codes/code-rows.ts',
        "    .where('nonce', '=', nonce)\n    .where('used_at', 'is', null)",
        "    .where('nonce', '=', nonce)",
      ],
    ],
    violates: 'two sign-ins with one code',
  },
  {
    name: 'counters are read without a lock, and then written',
    changes: [['src/limits/counter-rows.ts', '    .forUpdate()\n', '']],
    violates: 'more tries than the table allows',
    needsGuesses: true,
  },
]

/** How many violations of the wanted rule the checker sees when nothing but the program is broken. */
export async function violationsOfMutant(project: string, { changes, violates, needsGuesses }: Mutant): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-mutants-'))
  const ofRule = ({ rule }: { readonly rule: Rule }) => rule === violates
  try {
    copyVersion(project, folder, changes)
    const { violations } = await runScenario({
      open: needsGuesses ? openLimitedDeployment : openMariadbDeployment,
      ...(needsGuesses && { work: startGuesses }),
      source: folder,
      faults: [nothing, nothing, nothing],
      isEnough: (found) => found.some(ofRule),
    })
    return violations.filter(ofRule).length
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
