// What to send instead, where the error code does not say it: one sentence from the request's own data.
// problem.ts puts it into the `detail`.
import type { FastifyRequest } from 'fastify'
import type { AppError, ErrorCode } from '../errors.ts'
import { sessionIdOf } from '../sessions/token.ts'
import type { Words } from './field-words.ts'
import { type HeadFault, headFaultOf } from './request-head.ts'

/** The most characters of a client's text in an answer. */
const longestShown = 80

type Advise = (request: FastifyRequest, error: AppError) => Words | null

/**
 * A client's text as an answer may repeat it: short, without characters that a person cannot see, and without
 * what may be a token, an id, a code or a phone number. What is hidden is hidden before the text is cut,
 * because the beginning of a token no longer looks like one.
 */
function shown(text: string): string {
  const visible = text.replaceAll(/[^!-~]|["\\]/g, '?')
  return visible
    .replaceAll(/[\w-]+/g, withoutSecret)
    .replaceAll(/\d{4,}/g, '...')
    .slice(0, longestShown)
}

/**
 * Tokens and ids are long, and have digits or capitals; whatever begins like a token of ours is hidden at any
 * length. Each run of letters and digits is looked at once: a pattern that starts again at each of them takes
 * seconds for a long path.
 */
function withoutSecret(run: string): string {
  if (run.length >= 16 && /[\dA-Z]/.test(run)) return '...'
  const begin = run.search(/hfk?_/)
  return begin < 0 ? run : `${run.slice(0, begin)}...`
}

function aboutMediaType({ headers }: FastifyRequest): Words {
  const encoding = headers['content-encoding']
  if (encoding !== undefined)
    return {
      'zh-CN': `请求带有 Content-Encoding: ${shown(encoding)}：请不要压缩请求体，并去掉这个头。`,
      en: `The request has Content-Encoding: ${shown(encoding)}. Send the body as it is, without this header.`,
    }
  const type = headers['content-type']
  return {
    'zh-CN': `${type === undefined ? '请求没有 Content-Type' : `请求体的类型是 ${shown(type)}`}：请发送 JSON，并带上 Content-Type: application/json，例如 curl -H 'Content-Type: application/json' -d '{"name":"value"}'。`,
    en: `${type === undefined ? 'The request has no Content-Type' : `The body came as ${shown(type)}`}. Send JSON with Content-Type: application/json, for example curl -H 'Content-Type: application/json' -d '{"name":"value"}'.`,
  }
}

function aboutJson({ headers }: FastifyRequest): Words {
  if ((headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined)
    return {
      'zh-CN': '请求体是空的：请发送 JSON 对象，例如 {"name":"value"}。',
      en: 'The body is empty. Send a JSON object, for example {"name":"value"}.',
    }
  return {
    'zh-CN':
      '请求体应为 UTF-8 的 JSON 对象，名称用双引号且不重复，例如 {"name":"value"}。在 Windows 命令行里，请写 -d "{\\"name\\":\\"value\\"}"，或把内容存成文件并写 -d @body.json。',
    en: 'Send a JSON object in UTF-8 with names in double quotes, each once, for example {"name":"value"}. In a Windows command prompt write -d "{\\"name\\":\\"value\\"}", or put the body in a file and write -d @body.json.',
  }
}

/** The routes of the tutorial under /v1, and what does the same there. */
const ofTutorial: Readonly<Record<string, string>> = {
  '/v1/login': '/v1/sessions',
  '/v1/user': '/v1/session',
  '/v1/logout': '/v1/session',
}

function apiPathIn(path: string): string | null {
  const begin = path.lastIndexOf('/v1/')
  return begin >= 0 && /^[\w/-]+$/.test(path.slice(begin + 4)) ? path.slice(begin) : null
}

/**
 * The path that the client probably meant: without a prefix before /v1, doubled slashes, a slash at the end,
 * or capitals.
 */
function meantPath(path: string): string | null {
  if (path.length > longestShown) return null
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/\/$/, '')
  const written = apiPathIn(plain.toLowerCase()) ?? plain
  const meant = ofTutorial[written] ?? written
  const isAddress = /^\/(v1\/[\w/-]{1,80}|login|user|logout)$/.test(meant)
  return meant !== path && isAddress && shown(path) === path && shown(meant) === meant ? meant : null
}

function aboutAddress({ raw }: FastifyRequest): Words {
  const path = (raw.url ?? '').split('?', 1)[0] ?? ''
  const meant = meantPath(path)
  if (meant !== null)
    return {
      'zh-CN': `请求的是 ${shown(path)}，是否应为 ${meant}？全部接口见 /docs。`,
      en: `The request was for ${shown(path)}; is ${meant} meant? All addresses are listed at /docs.`,
    }
  return {
    'zh-CN': `没有 ${shown(path)}：接口在 /v1 下，全部接口见 /docs。`,
    en: `There is no ${shown(path)}. The API is under /v1; all addresses are listed at /docs.`,
  }
}

function aboutMethod({ method }: FastifyRequest, { facts }: AppError): Words {
  const allow = facts.allow?.join(', ') ?? ''
  return {
    'zh-CN': `不支持 ${shown(method)}：请用 ${allow}。`,
    en: `${shown(method)} is not possible here; use ${allow}.`,
  }
}

function aboutToken({ headers }: FastifyRequest): Words | null {
  // Node removes the space at the end of a header.
  if (/^bearer *$/i.test(headers.authorization ?? ''))
    return {
      'zh-CN': 'Bearer 后面没有令牌。之前的登录成功了吗？',
      en: 'There is no token after Bearer. Did the sign-in before it succeed?',
    }
  if (headers.authorization)
    return {
      'zh-CN': 'Authorization 头没有以 Bearer 和空格开头：请发送 Authorization: Bearer <令牌>。',
      en: 'The header Authorization does not begin with Bearer and a space. Send Authorization: Bearer <token>.',
    }
  if (headers.token !== undefined)
    return {
      'zh-CN': '/v1 不读取 token 头：请发送 Authorization: Bearer <令牌>。',
      en: '/v1 does not read the header token. Send Authorization: Bearer <token>.',
    }
  return null
}

/** About the form alone: it does not distinguish tokens of the right form. */
function aboutUnknownToken({ headers }: FastifyRequest): Words | null {
  const token = headers.authorization?.replace(/^bearer +/i, '') ?? ''
  if (sessionIdOf(token) !== null) return null
  return { 'zh-CN': '这不是一个完整的令牌。', en: 'This is not a whole token.' }
}

const headFaults: Readonly<Record<HeadFault, Words>> = {
  target: {
    'zh-CN': '请求行中的地址须以 / 或 http:// 开头，例如 GET /v1/session HTTP/1.1。',
    en: 'The address in the request line must begin with / or http://, for example GET /v1/session HTTP/1.1.',
  },
  host: { 'zh-CN': '请求缺少 Host 头。', en: 'The header Host is missing.' },
  expectation: {
    'zh-CN': 'Expect 头只能是 100-continue：请改正或去掉它。',
    en: 'The only possible Expect is 100-continue. Correct the header or leave it out.',
  },
}

function aboutHead({ raw }: FastifyRequest): Words | null {
  const fault = headFaultOf(raw)
  return fault && headFaults[fault]
}

const advice: Partial<Record<ErrorCode, Advise>> = {
  bad_request: aboutHead,
  unsupported_media_type: aboutMediaType,
  invalid_json: aboutJson,
  not_found: aboutAddress,
  method_not_allowed: aboutMethod,
  token_missing: aboutToken,
  token_unknown: aboutUnknownToken,
  code_wrong: () => ({
    'zh-CN': '请检查六位数字，或重新获取验证码。',
    en: 'Check the six digits, or get a new code.',
  }),
}

/** One sentence for the developer of the request, in each language; null where the title is enough. */
export function requestAdvice(request: FastifyRequest, error: AppError): Words | null {
  return advice[error.code]?.(request, error) ?? null
}
