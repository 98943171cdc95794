// Errors in the tutorial's format, `{code, message}`: for the four classic routes only. docs/errors.md has
// the table.
import type { FastifyReply } from 'fastify'
import type { AppError, ErrorCode, FieldFault } from '../../errors.ts'
import { publicErrors, setErrorHeaders } from '../problem.ts'

/** Codes that the tutorial's apps expect as an ordinary response: HTTP 200, `code` 0, and this message. */
const classicAnswers: Partial<Record<ErrorCode, { code: 0; message: string }>> = {
  token_missing: { code: 0, message: '需要验证' },
  account_banned: { code: 0, message: publicErrors.account_banned.zh },
  session_limit_reached: { code: 0, message: publicErrors.session_limit_reached.zh },
}

/** What is wrong with a field, in Chinese. */
function fieldText({ pointer, problem }: FieldFault): string {
  const name = pointer.slice(1) || 'JSON'
  if (problem === 'is_missing') return `缺少 ${name}`
  return `${name} ${problem === 'has_wrong_type' ? '类型错误' : '错误'}`
}

/** The tutorial's response to a token that is not valid, whatever the reason. */
const classicBadToken = { code: 2, message: '验证信息错误' } as const

/** Responds as the tutorial does: `{code, message}`. */
export function sendClassic(reply: FastifyReply, error: AppError): FastifyReply {
  const { status, zh } = publicErrors[error.code]
  const isBadToken = status === 401 && error.code !== 'token_missing'
  const answer = classicAnswers[error.code] ?? (isBadToken ? classicBadToken : null)
  if (answer) return reply.code(200).send(answer)
  setErrorHeaders(reply, error)
  const field = error.facts.fields?.[0]
  const message = field ? `${zh}：${fieldText(field)}` : zh
  // 422 is newer than the tutorial's apps, which expect 400.
  return reply.code(status === 422 ? 400 : status).send({ code: 0, message })
}
