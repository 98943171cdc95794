// Messages for wrong command lines, in the language of the terminal and with what to type instead. The
// argument parser itself has English messages only.
import type { Command } from 'commander'
import { calledAs } from './called-as.ts'

interface Refusal {
  readonly pattern: RegExp
  /** @param text the wrong word, or the missing one */
  readonly zh: (text: string) => string
  readonly en: (text: string) => string
}

const refusals: readonly Refusal[] = [
  {
    pattern: /^unknown command '(.*)'/,
    zh: (text) => `没有 ${text} 这个命令`,
    en: (text) => `There is no command "${text}"`,
  },
  {
    pattern: /^unknown option '(.*)'/,
    zh: (text) => `没有 ${text} 这个选项`,
    en: (text) => `There is no option "${text}" here`,
  },
  {
    pattern: /^missing required argument '(.*)'/,
    zh: (text) => `缺少参数 <${text}>`,
    en: (text) => `The argument <${text}> is missing`,
  },
  {
    pattern: /^option '(.*)' argument missing/,
    zh: (text) => `选项 ${text} 后面缺少值`,
    en: (text) => `The option "${text}" has no value behind it`,
  },
  {
    pattern: /^(too many arguments)/,
    zh: () => '参数太多：含空格的值请加引号',
    en: () => 'There are too many arguments: put quotes around a value with spaces',
  },
]

/** Most options of this server are settings, but a new user looks for command-line options. */
const settingsAdvice = {
  zh: '；端口、数据库等是设置，例如 HUFU_PORT=5002，见 docs/settings.zh-CN.md',
  en: '; port, database and so on are settings, for example HUFU_PORT=5002, see docs/settings.md',
}

/** npm keeps options that come before the `--`, and passes on only their values. */
const dashesAdvice = {
  zh: `；请写 ${calledAs(import.meta.url).command} 再写选项，否则选项会被 npm 取走`,
  en: `; write ${calledAs(import.meta.url).command} before the options, or npm takes them`,
}

/** Gives a command, and its subcommands, these messages. Call it when all of them are defined. */
export function explainWrongCalls(command: Command, isChinese: () => boolean, above = ''): void {
  const name = above === '' ? '' : `${above}${command.name()} `
  command.configureOutput({
    outputError: (text, write) => write(`${wrongCall(text, command, name, isChinese())}\n`),
  })
  for (const one of command.commands) explainWrongCalls(one, isChinese, name === '' ? ' ' : name)
}

function wrongCall(text: string, command: Command, name: string, isChinese: boolean): string {
  const [first = '', suggestion = ''] = text
    .trim()
    .replace(/^error: /, '')
    .split('\n')
  const found = refusals.find(({ pattern }) => pattern.test(first))
  const written = found?.pattern.exec(first)?.[1] ?? ''
  const meant = /\(Did you mean (?:one of )?(.*)\?\)/.exec(suggestion)?.[1]
  const words = found ? found[isChinese ? 'zh' : 'en'](written) : first
  const { command: called } = calledAs(import.meta.url)
  const advice = adviceAbout(first, command, called.endsWith('--'))
  const help = `${called} ${usageOf(command, name.trim())}`
  return isChinese
    ? `${words}${meant ? `，是否应为 ${meant}？` : ''}${advice.zh}\n用法：${help}`
    : `${words}${meant ? `; did you mean ${meant}?` : ''}${advice.en}\nUsage: ${help}`
}

/** @param isNpmScript whether the command is called with `--` behind npm */
function adviceAbout(refusal: string, command: Command, isNpmScript: boolean): { zh: string; en: string } {
  if (command.name() === 'serve' && /option|arguments/.test(refusal)) return settingsAdvice
  return isNpmScript && refusal.startsWith('too many arguments') ? dashesAdvice : { zh: '', en: '' }
}

/** `accounts add [options] <phone>`, or the list of commands. */
function usageOf(command: Command, name: string): string {
  const below = command.commands.map((one) => one.name()).filter((one) => one !== 'help')
  const rest = below.length > 0 ? below.join(' | ') : command.usage()
  return `${name} ${rest}`.trim()
}
