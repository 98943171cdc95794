// Sends one request and waits for its whole answer, up to a time limit. Knows no session.
import { notHufu, type Reader, readAnswer } from './answer.ts'
import type { paths } from './api-types.ts'
import { HufuError } from './errors.ts'
import { type Fetch, type FetchAnswer, type FetchInit, runtime } from './runtime.ts'
import type { Json } from './wire.ts'
import { say } from './words.ts'

/** Paths of the server's document; `id` fills the place of `{id}`. */
export interface Call<T> {
  readonly method: FetchInit['method']
  readonly path: keyof paths
  readonly id?: string
  readonly body?: object
  /** null: nobody asks. */
  readonly token: string | null
  /** Reads the answer; null where it is not the one that was asked for. */
  read(answer: Json | null): T | null
}

export interface Connection extends Reader {
  /** Without a slash at its end. */
  readonly baseUrl: string
  readonly fetch: Fetch
  readonly timeoutMs: number
}

/**
 * Asks the server once.
 * @throws HufuError with the server's code, `network`, `timeout` or `not_hufu`
 */
export async function send<T>(connection: Connection, call: Call<T>): Promise<T> {
  const { answer, text } = await exchange(connection, call)
  const value = call.read(readAnswer(answer, text, connection))
  if (value === null) throw notHufu(answer, connection)
  return value
}

interface Exchanged {
  readonly answer: FetchAnswer
  readonly text: string
}

async function exchange(connection: Connection, call: Call<unknown>): Promise<Exchanged> {
  const { language, timeoutMs } = connection
  const controller = runtime.AbortController ? new runtime.AbortController() : null
  let timer: unknown
  // Not every fetch listens to its signal, so the limit is a race as well.
  const late = new Promise<never>((_resolve, reject) => {
    timer = runtime.setTimeout(() => {
      reject(new HufuError({ code: 'timeout', title: say('timeout', language) }))
      controller?.abort()
    }, timeoutMs)
  })
  try {
    return await Promise.race([talk(connection, requestOf(connection, call, controller?.signal)), late])
  } catch (cause) {
    if (cause instanceof HufuError) throw cause
    throw new HufuError({ code: 'network', title: say('network', language), cause })
  } finally {
    runtime.clearTimeout(timer)
  }
}

async function talk({ fetch }: Connection, { url, init }: ReturnType<typeof requestOf>): Promise<Exchanged> {
  const answer = await fetch(url, init)
  return { answer, text: await answer.text() }
}

function requestOf({ baseUrl, language }: Connection, call: Call<unknown>, signal: FetchInit['signal']) {
  const { method, path, id = '', body, token } = call
  const init: FetchInit = {
    method,
    headers: {
      accept: 'application/json, application/problem+json',
      ...(language !== null && { 'accept-language': language }),
      ...(body && { 'content-type': 'application/json' }),
      ...(token !== null && { authorization: `Bearer ${token}` }),
    },
    redirect: 'manual',
    credentials: 'omit',
    ...(body && { body: JSON.stringify(body) }),
    ...(signal !== undefined && { signal }),
  }
  return { url: baseUrl + path.replace('{id}', encodeURIComponent(id)), init }
}
