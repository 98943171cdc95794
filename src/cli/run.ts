// The command line: the list of commands, and the code around each of them.
import { Command, CommanderError } from 'commander'
import { hiderOf } from '../secrets.ts'
import { readEnvironment, readEnvironmentOfMessages, secretTexts } from '../settings/environment.ts'
import { readSettings } from '../settings/settings.ts'
import { version } from '../version.ts'
import type { Context } from './context.ts'
import { prefersChinese } from './language.ts'
import { endWithReader, exitCodes, Output } from './output.ts'
import { explainWrongCalls } from './wrong-calls.ts'

type Action<A extends unknown[]> = (context: Context, ...args: A) => Promise<number>

/** Runs one command. @returns the exit code (output.ts) */
export async function run(argv: readonly string[]): Promise<number> {
  endWithReader()
  const result = { code: exitCodes.done as number }
  try {
    await program(result).parseAsync(argv, { from: 'user' })
    return result.code
  } catch (error) {
    // Commander has printed its own message; `--help` and `--version` are not errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    throw error
  }
}

function program(result: { code: number }): Command {
  /**
   * Wraps an action: reads the settings and prints errors. Commander passes arguments, options, then the
   * command itself. The module of a command is loaded when the command runs, because loading all of them
   * takes longer than most commands.
   */
  function action<A extends unknown[]>(load: () => Promise<Action<A>>) {
    return async (...given: unknown[]) => {
      // The arguments have the types that the command declares next to its action.
      const args = given.slice(0, -1) as A
      const options = given.at(-2) as { json?: boolean }
      const environment = readEnvironmentOfMessages()
      const output = new Output({
        json: options.json ?? false,
        chinese: prefersChinese(environment),
        hide: hiderOf(secretTexts(environment)),
      })
      try {
        const context = { settings: readSettings(readEnvironment()), output }
        result.code = await (await load())(context, ...args)
      } catch (error) {
        result.code = output.failure(error, typeof args[0] === 'string' ? args[0] : '')
      }
    }
  }

  const hufu = new Command('hufu').exitOverride()
  hufu
    .description(
      'Accounts and sessions for mobile apps. Settings: environment or .env, see docs/settings.md.',
    )
    .version(version)
  hufu
    .command('serve')
    .description('run the server')
    .action(action(async () => (await import('./serve.ts')).serve))
  hufu
    .command('migrate')
    .description('bring the database up to date; serve does it by itself')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./migrate.ts')).migrateDatabase))
  hufu
    .command('purge')
    .description('delete expired data; serve does it every hour')
    .option('--now', 'do not wait after a jump of the clock: the time is right')
    .option('--json', 'one line each')
    .action(action(async () => (await import('./purge.ts')).purge))
  accountCommands(hufu.command('accounts').description('manage accounts'), action)
  hufu
    .command('events')
    .argument('<phone>')
    .description('what happened to an account and its number, newest first')
    .option('--json', 'one line each')
    .action(action(async () => (await import('./events.ts')).listEvents))
  sessionCommands(hufu.command('sessions').description('manage sessions'), action)
  keyCommands(hufu.command('keys').description("manage service keys, for the operator's programs"), action)
  smsCommands(hufu.command('sms').description('text messages'), action)
  hufu
    .command('doctor')
    .description('check settings, database, Redis, clocks and text messages, and say what to do')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./doctor.ts')).doctor))
  hufu
    .command('demo')
    .description("run the tutorial's walkthrough against a running server")
    .option('--url <url>', 'where the server is; default: where the settings say')
    .action(action(async () => (await import('./demo.ts')).demo))
  explainWrongCalls(hufu, () => prefersChinese(readEnvironmentOfMessages()))
  return hufu
}

type Wrap = <A extends unknown[]>(load: () => Promise<Action<A>>) => (...given: unknown[]) => Promise<void>

function accountCommands(accounts: Command, action: Wrap): void {
  accounts
    .command('add')
    .argument('<phone>', 'phone number, as people write it')
    .description('create an account')
    .option('--nickname <name>', 'what to call the person')
    .option('--password-stdin', 'read the password from standard input')
    .option('--allow-weak-password', 'accept any password, for imports and demos')
    .option('--verified', 'the number is verified: the first sign-in by code keeps what was set here')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./accounts.ts')).addAccount))
  accounts
    .command('list')
    .description('all accounts')
    .option('--json', 'one line each')
    .action(action(async () => (await import('./accounts.ts')).listAccounts))
  accounts
    .command('show')
    .argument('<phone>')
    .description('one account: app_online and its live sessions')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./accounts.ts')).showAccount))
  accounts
    .command('ban')
    .argument('<phone>')
    .description('ban an account now, on every server')
    .option('--until <time>', 'its end: a day or a moment (ISO 8601); without: for ever')
    .option('--reason <text>', 'kept with the account')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./accounts.ts')).banAccount))
  accounts
    .command('unban')
    .argument('<phone>')
    .description('end a ban')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./accounts.ts')).unbanAccount))
  accounts
    .command('unlock')
    .argument('<phone>')
    .description('reset the failed sign-ins and the counted messages of a number')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./accounts.ts')).unlockAccount))
}

function sessionCommands(sessions: Command, action: Wrap): void {
  sessions
    .command('list')
    .argument('<phone>')
    .description("an account's live sessions")
    .option('--json', 'one line each')
    .action(action(async () => (await import('./sessions.ts')).listSessions))
  sessions
    .command('end')
    .argument('[id]', 'session id, as "sessions list" shows it; with --all a phone number, or nothing')
    .description('end sessions now, on every server (reason: kicked)')
    .option('--all', 'all sessions of an account, or without a phone number of all accounts')
    .option('--before <time>', 'with --all: only sessions that began before a day or a moment (ISO 8601)')
    .option('--yes', 'do not ask before the sessions of all accounts end')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./sessions.ts')).endSessions))
}

function keyCommands(keys: Command, action: Wrap): void {
  keys
    .command('create')
    .description('create a service key and print it, this once')
    .option('--name <name>', 'the program that uses it')
    .option('--scope <scopes>', 'what it may do, with commas')
    .option('--network <networks>', 'addresses or CIDR blocks that it may be used from, with commas')
    .option('--expires <time>', 'its end: a period such as 90d, a day or a moment (ISO 8601); without: never')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./keys.ts')).createKey))
  keys
    .command('list')
    .description('all service keys, without their secrets')
    .option('--json', 'one line each')
    .action(action(async () => (await import('./keys.ts')).listKeys))
  keys
    .command('rotate')
    .argument('<id>', 'key id, as "keys list" shows it')
    .description('give a key a new secret and print it, this once')
    .option('--keep <period>', 'how long the present secret stays valid, such as 30m, 24h or 7d', '24h')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./keys.ts')).rotateKey))
  keys
    .command('revoke')
    .argument('<id>', 'key id')
    .description('revoke a key now, on every server')
    .option('--json', 'for programs')
    .action(action(async () => (await import('./keys.ts')).revokeKey))
  keys
    .command('events')
    .argument('<id>', 'key id')
    .description('what happened to a key, newest first')
    .option('--json', 'one line each')
    .action(action(async () => (await import('./keys.ts')).listKeyEvents))
}

function smsCommands(sms: Command, action: Wrap): void {
  sms
    .command('test')
    .argument('<phone>', 'phone number, as people write it')
    .description("send a code that cannot be used, and print the gateway's answer")
    .option('--json', 'for programs')
    .action(action(async () => (await import('./sms.ts')).testSms))
}
