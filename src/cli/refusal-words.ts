// The text of a refusal at the command line: what was wrong, and which command or setting helps.
import type { AppError, ErrorCode, ErrorFacts } from '../errors.ts'
import { phoneAdviceOf, publicErrors } from '../http/problem.ts'
import { calledAs } from './called-as.ts'

interface Words {
  readonly zh: string
  readonly en: string
}

const { command } = calledAs(import.meta.url)

/** A text quoted as one word of a shell. */
function asWord(text: string): string {
  return /^[\w+.-]+$/.test(text) ? text : `'${text.replaceAll("'", '')}'`
}

/** @param given the text, quoted as one word of a shell */
type Sentence = (error: AppError, subject: string, given: string) => Words

const passwordRules: Readonly<Record<NonNullable<ErrorFacts['rule']>, Words>> = {
  too_short: {
    zh: '密码太短，至少 8 个字符（演示可加 --allow-weak-password）',
    en: 'The password is too short: use at least 8 characters (for a demo, add --allow-weak-password)',
  },
  too_long: {
    zh: '密码太长，最多 256 个字符',
    en: 'The password is too long: use at most 256 characters',
  },
  is_phone_number: {
    zh: '密码不能是手机号，请换一个（演示可加 --allow-weak-password）',
    en: 'The password is the phone number: choose another one (for a demo, add --allow-weak-password)',
  },
  is_common: {
    zh: '密码太常见，很容易被猜到，请换一个（演示可加 --allow-weak-password）',
    en: 'The password is a common one and easy to guess: choose another one (for a demo, add --allow-weak-password)',
  },
}

const sentences: Partial<Record<ErrorCode, Sentence>> = {
  account_not_found: (_error, subject) => ({
    zh: `没有 ${subject} 这个账号：请检查号码；全部账号：${command} accounts list`,
    en: `There is no account with the number ${subject}. Check the number; all accounts: ${command} accounts list`,
  }),
  phone_number_taken: (_error, subject, given) => ({
    zh: `${subject} 已有账号；查看：${command} accounts show ${given}`,
    en: `${subject} has an account already. To see it: ${command} accounts show ${given}`,
  }),
  account_banned: (_error, subject, given) => ({
    zh: `${subject} 已被永久封禁；解封：${command} accounts unban ${given}`,
    en: `${subject} is banned for ever. To end the ban: ${command} accounts unban ${given}`,
  }),
  session_not_found: (_error, subject) => ({
    zh: `没有 id 为 ${subject} 的会话。查看 id：${command} sessions list <手机号>；结束一个账号的全部会话：${command} sessions end --all <手机号>`,
    en: `There is no session with the id ${subject}. To see ids: ${command} sessions list <phone>; to end all sessions of an account: ${command} sessions end --all <phone>`,
  }),
  key_not_found: (_error, subject) => ({
    zh: `没有 id 为 ${subject} 的服务密钥。查看 id：${command} keys list`,
    en: `There is no service key with the id ${subject}. To see ids: ${command} keys list`,
  }),
  key_revoked: (_error, subject) => ({
    zh: `服务密钥 ${subject} 已吊销，不能轮换；请新建一个：${command} keys create`,
    en: `The service key ${subject} was revoked and cannot be rotated. Create another one: ${command} keys create`,
  }),
  key_expired: (_error, subject) => ({
    zh: `服务密钥 ${subject} 已过期，不能轮换；请新建一个：${command} keys create`,
    en: `The service key ${subject} has expired and cannot be rotated. Create another one: ${command} keys create`,
  }),
  key_rotating: (_error, subject, given) => ({
    zh: `${subject} 上次轮换前的密钥仍然有效。要让新密钥以外的全部立即失效：${command} keys rotate ${given} --keep 0`,
    en: `The secret before the last rotation of ${subject} is still valid. To end all but the new one now: ${command} keys rotate ${given} --keep 0`,
  }),
  unavailable: ({ cause }) => {
    const why = cause instanceof Error ? cause.message : null
    if (isLockedFile(cause))
      return {
        zh: `别的程序占用着数据库文件${why ? `（${why}）` : ''}：请停掉它，或更正 HUFU_DATABASE_URL`,
        en: `Another program holds the file of the database${why ? ` (${why})` : ''}: stop it, or correct HUFU_DATABASE_URL`,
      }
    return {
      zh: `数据库没有应答${why ? `（${why}）` : ''}：请启动数据库，或更正 HUFU_DATABASE_URL 里的协议、主机和端口`,
      en: `The database does not answer${why ? ` (${why})` : ''}: start it, or correct the scheme, host and port in HUFU_DATABASE_URL`,
    }
  },
}

/** SQLITE_BUSY and SQLITE_LOCKED, the low byte of node:sqlite's code. */
function isLockedFile(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('errcode' in cause && typeof cause.errcode === 'number' && [5, 6].includes(cause.errcode & 0xff))
      return true
  return false
}

/**
 * One sentence in each language.
 * @param subject the phone number or id that the command was given
 */
export function refusalWords(error: AppError, subject: string): Words {
  const { rule } = error.facts
  if (error.code === 'password_refused' && rule !== undefined) return passwordRules[rule]
  const sentence = sentences[error.code]
  if (sentence) return sentence(error, subject, asWord(subject))
  const { zh, en } = publicErrors[error.code]
  const [adviceInChinese, advice] = [phoneAdviceOf(error, 'zh-CN'), phoneAdviceOf(error, 'en')]
  const about =
    subject === '' || !error.facts.phone
      ? { zh: '', en: '' }
      : { zh: `（“${subject}”）`, en: ` ("${subject}")` }
  return {
    zh: `${zh}${about.zh}${adviceInChinese ? `：${adviceInChinese}` : ''}`,
    en: `${en}${about.en}${advice ? `. ${advice}` : ''}`,
  }
}
