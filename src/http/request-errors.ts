// Maps errors of Fastify and Ajv about a request to this server's own error codes.
import type { FastifyError, FastifySchemaValidationError } from 'fastify'
import { AppError, type ErrorCode, type FieldFault } from '../errors.ts'
import { nearestWord } from '../nearest-word.ts'
import { formOfPattern } from './patterns.ts'

const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_MAX_PARAM_LENGTH: 'not_found',
  ECONNRESET: 'bad_request',
}

/** What is wrong with a field: a closed set of codes that an app can branch on. */
const problems: Readonly<Record<string, string>> = {
  required: 'is_missing',
  additionalProperties: 'is_unknown',
  type: 'has_wrong_type',
  minLength: 'is_too_short',
  maxLength: 'is_too_long',
  minItems: 'has_too_few_items',
  maxItems: 'has_too_many_items',
  pattern: 'has_wrong_form',
  enum: 'is_not_one_of_the_allowed',
  const: 'is_not_one_of_the_allowed',
  anyOf: 'is_not_one_of_the_allowed',
}

/**
 * The AppError for any error that was thrown while a request was handled; `internal` for an unexpected one.
 */
export function asRequestError(error: unknown, asUnavailable: (error: unknown) => unknown): AppError {
  // Fastify's own errors have `code`, and `validation` where a schema refused the request.
  const { code, validation, statusCode } = error as Partial<FastifyError>
  // A client that disconnected and a database that did can have the same error code; only the client's error
  // has a status, which Fastify adds.
  const known = statusCode === undefined ? asUnavailable(error) : error
  if (known instanceof AppError) return known
  if (validation?.[0]) return new AppError('invalid_request', { fields: [fieldOf(validation[0])] })
  const mapped = code === undefined ? undefined : frameworkCodes[code]
  if (mapped) return new AppError(mapped, {}, { cause: error })
  if (code?.startsWith('FST_') && statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new AppError('bad_request', {}, { cause: error })
  }
  return new AppError('internal', {}, { cause: error })
}

function fieldOf(error: FastifySchemaValidationError): FieldFault {
  const { instancePath, keyword, params } = error
  const name = params.missingProperty ?? params.additionalProperty
  const last = typeof name === 'string' ? pointerTo(name) : ''
  const { allowedValues: allowed, limit, type, pattern } = params
  const form = typeof pattern === 'string' ? formOfPattern(pattern) : undefined
  return {
    pointer: instancePath + last,
    problem: problems[keyword] ?? 'is_not_valid',
    ...(Array.isArray(allowed) && { allowed: allowed.map(String) }),
    ...(typeof limit === 'number' && { limit }),
    ...(typeof type === 'string' && { type }),
    ...(form !== undefined && { form }),
    ...misspelt(error),
  }
}

/** As many names of a body are compared with the known ones. */
const comparedNames = 20

/** Which known field an unknown one was probably meant to be, or which unknown one a missing one. */
function misspelt(error: FastifySchemaValidationError): Pick<FieldFault, 'meant' | 'sent'> {
  // Ajv's `verbose` adds both; Fastify's type does not have them.
  const { parentSchema, data } = error as { parentSchema?: { properties?: object }; data?: unknown }
  const known = Object.keys(parentSchema?.properties ?? {})
  const { additionalProperty: unknown, missingProperty: missing } = error.params
  if (typeof unknown === 'string') {
    const meant = nearestWord(unknown.slice(0, 64), known)
    return meant === undefined ? {} : { meant }
  }
  if (typeof missing !== 'string' || typeof data !== 'object' || data === null) return {}
  const sent = Object.keys(data)
    .slice(0, comparedNames)
    .find((name) => !known.includes(name) && nearestWord(name.slice(0, 64), known) === missing)
  return sent === undefined ? {} : { sent: pointerTo(sent) }
}

/**
 * RFC 6901, section 3: `~` and `/` inside a name are escaped. A name that the client made up is cut short.
 */
function pointerTo(name: string): string {
  return `/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The problem of a body member that the schema does not know. */
export function unknownField(name: string) {
  return { pointer: pointerTo(name), problem: 'is_unknown' }
}
