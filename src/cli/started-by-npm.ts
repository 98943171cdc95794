// Whether npm or npx has started this program.
import type { Environment } from '../settings/environment.ts'

/**
 * A command line that starts only this program. A variable, a pipe, a second command, `&`, `nohup` or
 * `setsid` beside it may mean that the program should outlive the shell. npm quotes the name that npx gets.
 */
const ownCommand =
  /^(exec )?(?:(['"]?)(?:[\w./@-]*\/)?hufu(?:@[\w.^~-]+)?\2|node [\w./@-]*main\.(?:ts|js))(?: serve)?$/

/**
 * Whether npm runs exactly this program in its shell. npm passes signals on to that shell only, and not every
 * shell replaces itself with the program: SIGTERM then ends npm and its shell, and this process gets no
 * signal.
 */
export function isStartedByNpm({ npm_lifecycle_event, npm_lifecycle_script }: Environment): boolean {
  return npm_lifecycle_event !== undefined && ownCommand.test(npm_lifecycle_script?.trim() ?? '')
}
