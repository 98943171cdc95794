// Where log lines go: JSON for machines, text for people at a terminal. Standard output, and nothing else.
import { type Logger, pino } from 'pino'
import pretty from 'pino-pretty'
import type { RequestLog } from './http/request-log.ts'
import { LineWriter } from './line-writer.ts'
import type { Settings } from './settings.ts'

export type { Logger } from 'pino'

/** The program's log. `isTerminal` says whether a person looks at standard output. */
export function createLog(settings: Pick<Settings, 'logLevel' | 'logFormat'>, isTerminal: boolean): Logger {
  const options = { level: settings.logLevel, base: null, timestamp: isoTimestamp() }
  const asText = settings.logFormat === 'text' || (settings.logFormat === 'auto' && isTerminal)
  if (!asText) return pino(options, new LineWriter(1))
  return pino(
    options,
    pretty({
      translateTime: 'SYS:HH:MM:ss',
      colorize: isTerminal,
      messageFormat: ({ method, path, status, ms, phone, msg }) =>
        path ? `${method} ${path} ${status} ${ms} ms ${phone ?? ''}` : String(msg),
      ignore: 'method,path,status,ms,phone,ip,session,requestId,msg',
    }),
  )
}

/** pino's `time` as ISO 8601 UTC. Formatting costs more than the rest of a line, so it is done once a millisecond. */
function isoTimestamp(): () => string {
  let formattedAt = 0
  let text = ''
  return () => {
    const now = Date.now()
    if (now !== formattedAt) {
      formattedAt = now
      text = `,"time":"${new Date(now).toISOString()}"`
    }
    return text
  }
}

/** The lines of requests, written to a log. */
export function requestLog(log: Logger): RequestLog {
  return {
    request: (line) => log.info(line),
    trouble: (request, error) => {
      log[error.code === 'internal' ? 'error' : 'warn'](
        { requestId: request.id, err: withoutValues(error.cause ?? error) },
        error.code,
      )
    },
  }
}

/** What a driver says about an error, without the statement that it was about: the values of people are in it. */
export function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  const code = 'code' in error ? error.code : undefined
  return { type: name, message, stack, code }
}
