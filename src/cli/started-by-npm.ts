// Whether npm or npx has started this program.
import type { Environment } from '../settings/environment.ts'

/**
 * A command that is this program alone: a variable, a pipe, a second command, `&`, `nohup` or `setsid` beside it may be there
 * so that it outlives the shell. npm quotes the name that npx is given.
 */
const ownCommand =
  /^(exec )?(?:(['"]?)(?:[\w./@-]*\/)?hufu(?:@[\w.^~-]+)?\2|node [\w./@-]*main\.(?:ts|js))(?: serve)?$/

/**
 * Whether npm runs exactly this program in its shell. npm passes signals on to that shell only, and not every shell becomes the
 * program that it starts: SIGTERM then ends npm and its shell, and this process hears nothing.
 */
export function isStartedByNpm({ npm_lifecycle_event, npm_lifecycle_script }: Environment): boolean {
  return npm_lifecycle_event !== undefined && ownCommand.test(npm_lifecycle_script?.trim() ?? '')
}
