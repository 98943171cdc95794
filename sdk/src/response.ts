// Reads a response: Hufu's JSON, no content, a refusal of the server, or a page of another server.
import { type FieldProblem, HufuError, type HufuErrorFacts, type ServerErrorCode } from './errors.ts'
import { say } from './messages.ts'
import type { Platform, SignedOut, SignOutReason } from './models.ts'
import type { Clock } from './runtime.ts'
import type { TransportAnswer } from './transport.ts'
import { isJson, type Json } from './wire.ts'

export interface Reader {
  readonly clock: Clock
  readonly language: string | null
}

/** The error for a response that does not come from a Hufu server. */
export function notHufu(answer: TransportAnswer, reader: Reader): HufuError {
  return new HufuError({
    code: 'not_hufu',
    message: say('not_hufu', reader.language),
    detail: answer.status === 401 ? say('reason_replaced', reader.language) : null,
    ...factsOf(answer, reader),
  })
}

/**
 * The JSON object of a successful response; null for 204.
 * @throws HufuError with the server's code, or `not_hufu`
 */
export function readAnswer(answer: TransportAnswer, reader: Reader): Json | null {
  const { status, text } = answer
  if (status === 204) return null
  // On platforms without response headers, only the body shows what it is.
  const type = answer.header('content-type') ?? 'application/json'
  const json = /^application\/(problem\+)?json\b/i.test(type) ? parse(text) : null
  if (json && status >= 200 && status < 203) return json
  throw json && isProblem(json, status) ? problemError(json, answer, reader) : notHufu(answer, reader)
}

function parse(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text)
    return isJson(value) ? value : null
  } catch {
    return null
  }
}

interface Problem extends Json {
  readonly code: ServerErrorCode
  readonly title: string
}

// The type distinguishes Hufu's problem details from others: `urn:hufu:problem:<code>`.
function isProblem(json: Json, status: number): json is Problem {
  return (
    typeof json.code === 'string' &&
    json.type === `urn:hufu:problem:${json.code}` &&
    json.status === status &&
    typeof json.title === 'string'
  )
}

function problemError(problem: Problem, answer: TransportAnswer, reader: Reader): HufuError {
  const facts = factsOf(answer, reader)
  return new HufuError({
    ...facts,
    code: problem.code,
    message: problem.title,
    detail: textOf(problem.detail),
    requestId: textOf(problem.request_id) ?? facts.requestId ?? null,
    // The problem comes from Hufu, so its members have the types of the server's document.
    fields: Array.isArray(problem.fields) ? (problem.fields as FieldProblem[]) : [],
    rule: textOf(problem.rule),
    bannedUntil: textOf(problem.banned_until),
    signedOut: answer.status === 401 ? signedOutOf(problem, reader.clock) : null,
  })
}

/** The end of the session in a 401; null where it contains none. */
function signedOutOf(problem: Problem, clock: Clock): SignedOut | null {
  const { code, ended_by: by } = problem
  const reason = code === 'token_unknown' ? code : /^session_(?!not_found|limit)(.+)$/.exec(code)?.[1]
  if (reason === undefined) return null
  return {
    // The reason of a newer server is passed on unchanged: the end of a session must never be missed.
    reason: reason as SignOutReason,
    at: textOf(problem.ended_at) ?? new Date(clock.now()).toISOString(),
    byDevice: isJson(by) ? deviceOf(by) : null,
    message: problem.title,
  }
}

function deviceOf({ platform, device_name }: Json): SignedOut['byDevice'] {
  // The type is that of the server's document.
  return { platform: platform as Platform, name: textOf(device_name) }
}

function factsOf({ status, header }: TransportAnswer, { clock }: Reader): Partial<HufuErrorFacts> {
  return {
    // Browsers hide a redirect behind status 0.
    status: status || null,
    retryAfterSeconds: secondsOf(header('retry-after'), clock),
    requestId: header('x-request-id'),
  }
}

/** Retry-After (RFC 9110, section 10.2.3): seconds, or a date. */
function secondsOf(text: string | null, clock: Clock): number | null {
  if (text === null) return null
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - clock.now()) / 1000))
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
