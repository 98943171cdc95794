// The log on standard output: JSON lines for machines, text at a terminal.
import { type Logger, pino, stdSerializers } from 'pino'
import { backgroundWork, type OnBackgroundError } from './background-errors.ts'
import { shownMessage } from './hidden-text.ts'
import type { IgnoredAddress } from './http/client-address.ts'
import type { ForeignProtocol } from './http/foreign-protocols.ts'
import type { RequestLine, RequestLog, RequestTarget } from './http/request-log.ts'
import { LineWriter } from './line-writer.ts'
import { type Hide, hideIn, hideNothing } from './secrets.ts'
import type { Settings } from './settings/settings.ts'

export type { Logger } from 'pino'

/** A logger, and the stream of its lines. */
export interface Log {
  readonly logger: Logger
  readonly stream: LineStream
  readonly isoNow: () => string
}

/** Accepts whole lines of JSON. */
export interface LineStream {
  write(line: string): unknown
}

/** The program's log. `isTerminal`: standard output is a terminal; `hide` removes secrets from errors. */
export async function createLog(
  settings: Pick<Settings, 'log' | 'server'>,
  isTerminal: boolean,
  hide: Hide = hideNothing,
): Promise<Log> {
  const asText = settings.log.format === 'text' || (settings.log.format === 'auto' && isTerminal)
  return logTo(
    asText ? await prettyStream(isTerminal) : new LineWriter(1, settings.server.workers > 1),
    settings.log.level,
    hide,
  )
}

/** A log that writes to a stream. */
export function logTo(stream: LineStream, level: string, hide: Hide = hideNothing): Log {
  const isoNow = isoClock()
  const timestamp = () => `,"time":"${isoNow()}"`
  // The result of withoutValues is written unchanged: pino would write its class instead of the error's.
  const serialize = (error: unknown) => (error instanceof Error ? stdSerializers.err(error) : error)
  const serializers = { err: (error: unknown) => hideIn(serialize(error), hide) }
  return { logger: pino({ level, base: null, timestamp, serializers }, stream), stream, isoNow }
}

async function prettyStream(colorize: boolean): Promise<LineStream> {
  // Loaded where it is used: a service's log is JSON.
  const { default: pretty } = await import('pino-pretty')
  return pretty({
    translateTime: 'SYS:HH:MM:ss',
    colorize,
    messageFormat: ({ method, path, status, ms, phone, msg }) =>
      path ? `${method} ${path} ${status} ${ms} ms ${phone ?? ''}` : String(msg),
    ignore: 'method,path,status,ms,phone,ip,session,requestId,msg',
  })
}

/**
 * Returns the current time as ISO 8601 UTC. Formatting costs more than the rest of a line, so it happens at
 * most once a millisecond.
 */
function isoClock(): () => string {
  let formattedAt = 0
  let text = ''
  return () => {
    const now = Date.now()
    if (now !== formattedAt) {
      formattedAt = now
      text = new Date(now).toISOString()
    }
    return text
  }
}

/** Writes the lines of requests to a log. */
export function requestLog({ logger, stream, isoNow }: Log): RequestLog {
  let time = ''
  let start = ''
  const startNow = () => {
    const now = isoNow()
    if (now !== time) {
      time = now
      // `join` builds one flat string; `+` would build a rope that each line flattens again.
      start = ['{"level":30,"time":"', now, '","requestId":"'].join('')
    }
    return start
  }
  let target: RequestTarget | null = null
  let targetText = ''
  const textOf = (one: RequestTarget) => {
    if (one !== target) {
      target = one
      targetText = targetPart(one)
    }
    return targetText
  }
  return {
    isOn: logger.isLevelEnabled('info'),
    request: (line) => stream.write(asJson(line, startNow(), textOf(line.target))),
    error: (request, error, more) => {
      const about = { requestId: request.id, err: withoutValues(error.cause ?? error) }
      logger[error.code === 'internal' ? 'error' : 'warn'](more > 0 ? { ...about, more } : about, error.code)
    },
    foreignProtocol: (protocol, peer) => logger.warn({ peer }, foreignProtocolLines[protocol]),
    ignoredAddress: ({ why, ...about }) => logger.warn(about, ignoredAddressLines[why]),
  }
}

const foreignProtocolLines: Readonly<Record<ForeignProtocol, string>> = {
  tls: 'a client speaks TLS, and this port speaks plain HTTP: write http:// in the client, or put a proxy for TLS in front (docs/operations.md)',
  http2:
    'a client speaks HTTP/2 without TLS, and this port speaks HTTP/1.1: set the proxy in front to HTTP/1.1 for its backends',
  proxy:
    'a proxy sends the PROXY protocol, which this port does not read: turn it off, and make the proxy send X-Forwarded-For (docs/limits.md)',
}

const ignoredAddressLines: Readonly<Record<IgnoredAddress['why'], string>> = {
  not_listed:
    'the address of a client in this header is ignored, because the peer is not in HUFU_TRUSTED_PROXIES: if the peer is your proxy, list it on every server; until then all clients behind it share one address and its limits',
  no_address:
    'a proxy of HUFU_TRUSTED_PROXIES passes on what is no address: its clients count as the proxy, and share its limits; make it pass on their addresses',
  not_read:
    'a proxy of HUFU_TRUSTED_PROXIES names clients in a header that is not read: they count as the proxy, and share its limits; make it send X-Forwarded-For',
}

/** Logs errors of background work, under the name of the work. */
export function backgroundErrorLog({ logger }: Log): OnBackgroundError {
  return (work, error) => logger.warn({ work, err: withoutValues(error) }, backgroundWork[work])
}

const mustEscape = /[^ !#-[\]-~]/

/** The part of a line between the request's id and the status. */
function targetPart({ method, path }: RequestTarget): string {
  const text = mustEscape.test(path) ? JSON.stringify(path) : `"${path}"`
  return ['","method":"', method, '","path":', text, ',"status":'].join('')
}

/**
 * The line that pino would write at level info, for a quarter of its cost, which is mostly that of
 * concatenating strings.
 */
function asJson(
  { requestId, status, ms, ip, session, phone }: RequestLine,
  start: string,
  target: string,
): string {
  const from = ip ? `,"ip":"${ip}"` : ''
  const caller = session ? `,"session":"${session}"` : ''
  const about = phone ? `,"phone":"${phone}"` : ''
  const how = `${status},"ms":${ms}`
  return `${start}${requestId}${target}${how}${from}${caller}${about}}\n`
}

/**
 * An error's class and message, without the statement that a driver adds and the numbers that it quotes: they
 * are people's data.
 */
export function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { message, stack } = error
  const code = 'code' in error ? error.code : undefined
  const shown = { message: shownMessage(message), stack: stack && shownMessage(stack) }
  return { type: error.constructor.name, ...shown, code }
}
