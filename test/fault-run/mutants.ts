// Mutants of the program, with mistakes that ordinary tests would miss. The checker must find each of them;
// otherwise its result for the real program proves nothing.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyVersion, type SourceChange } from '../support/other-versions.ts'
import type { Rule } from './checker.ts'
import { openMariadbDeployment } from './deployment-proxied.ts'
import { noFault } from './faults.ts'
import { runScenario } from './scenario.ts'
import { openLimitedDeployment, startGuesses } from './workload-guesses.ts'

export interface Mutant {
  readonly name: string
  /** Lines of the source and their replacements. A change of such a line needs a change here. */
  readonly changes: readonly SourceChange[]
  readonly violates: Rule
  /** It is found under the workload of guesses, with the limits on. */
  readonly needsGuesses?: boolean
}

export const mutants: readonly Mutant[] = [
  {
    // A settle that finds no mark sets one before the response, so that one has to be removed as well.
    name: 'no write sets a mark, and no settle repairs it',
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
    name: 'a late fill overwrites the entry, and the feed is ignored',
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
    name: 'a caller is not checked again, neither after its body nor under the lock',
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
    name: 'the first use of a token leaves its sign-in open to retries',
    changes: [
      [
        'src/sessions/verification.ts',
        "if (!ending && status === 'successor') return this.#acceptSuccessor(presented, session)",
        '',
      ],
    ],
    violates: 'a used token was replaced',
  },
  {
    name: 'the UPDATE that consumes a code has no guard',
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
    name: 'counters are read without a lock and then written',
    changes: [['src/limits/counter-rows.ts', '    .forUpdate()\n', '']],
    violates: 'more guesses than the limits allow',
    needsGuesses: true,
  },
]

/** The number of violations of the expected rule, found in the mutant without any fault. */
export async function violationsOfMutant(
  project: string,
  { changes, violates, needsGuesses }: Mutant,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-mutants-'))
  const ofRule = ({ rule }: { readonly rule: Rule }) => rule === violates
  try {
    copyVersion(project, folder, changes)
    const { violations } = await runScenario({
      open: needsGuesses ? openLimitedDeployment : openMariadbDeployment,
      ...(needsGuesses && { work: startGuesses }),
      source: folder,
      faults: [noFault, noFault, noFault],
      isEnough: (found) => found.some(ofRule),
    })
    return violations.filter(ofRule).length
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
