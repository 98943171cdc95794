// One log line for each request: the caller, the route, the status, and the duration. Never a secret.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { shownPath } from '../hidden-text.ts'
import { maskPhoneNumber } from '../phone/phone.ts'
import type { ClientAddressOf, IgnoredAddress } from './client-address.ts'
import type { ForeignProtocolLog } from './foreign-protocols.ts'
import type { OperatorErrorLog } from './operator-errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The phone number in a request, masked. */
    maskedPhone: string | null
  }
}

/** Where the lines go. */
export interface RequestLog extends ForeignProtocolLog, OperatorErrorLog {
  /** Whether a line is written for each request. */
  readonly isOn: boolean
  /** One finished request. */
  request(line: RequestLine): void
  /** The first header with a client's address that was not used. */
  ignoredAddress(ignored: IgnoredAddress): void
}

/** What a request asked for. */
export interface RequestTarget {
  readonly method: string
  /** The route's pattern; for an unknown path, the path without its query. */
  readonly path: string
}

export interface RequestLine {
  readonly requestId: string
  /** All requests of a route on the fast path have the same object. */
  readonly target: RequestTarget
  readonly status: number
  readonly ms: number
  /** Missing where the connection was closed before its address was read. */
  readonly ip: string | undefined
  /** The public id of the caller's session. */
  readonly session: string | undefined
  /** Masked: +86138****5223. */
  readonly phone: string | null
}

export interface FastLine extends Pick<RequestLine, 'requestId' | 'target' | 'session'> {
  /** Read from performance.now(). */
  readonly began: number
  /** The operating system has taken the whole response. */
  readonly isOver: boolean
}

/** Writes a line for each request of an app. */
export class RequestLines {
  readonly #log: RequestLog
  readonly #addressOf: ClientAddressOf
  /** Paths that are exactly a route: a lookup here is cheaper than asking Fastify for the route. */
  readonly #plainRoutes = new Set<string>()

  constructor(log: RequestLog, addressOf: ClientAddressOf) {
    this.#log = log
    this.#addressOf = addressOf
  }

  /** Learns the routes of a server. Call it before any route is registered. */
  attachTo(app: FastifyInstance): void {
    app.decorateRequest('maskedPhone', null)
    app.addHook('onRoute', ({ url }) => {
      if (!/[:*]/.test(url)) this.#plainRoutes.add(url)
    })
  }

  /**
   * Writes the line when the request has ended. Fastify's onResponse does not run where the client
   * disconnected.
   */
  follow(request: FastifyRequest, reply: FastifyReply): void {
    if (!this.#log.isOn) return
    // Fastify's own reply.elapsedTime stays 0 without its logger.
    const began = performance.now()
    reply.raw.on('close', () => {
      this.#log.request({
        requestId: request.id,
        target: { method: request.method, path: this.#pathOf(request) },
        status: statusOf(reply.raw),
        ms: msSince(began),
        ip: this.#addressOf(request.raw) ?? undefined,
        session: request.signedIn?.session.id,
        phone: request.maskedPhone,
      })
    })
  }

  /** Writes the line of a fast-path request, which Fastify never sees, once it is answered. */
  followFast(request: IncomingMessage, response: ServerResponse, about: FastLine): void {
    if (!this.#log.isOn) return
    const ip = this.#addressOf(request) ?? undefined
    const { began, isOver, requestId, target, session } = about
    const write = (status: number) =>
      this.#log.request({ requestId, target, status, ms: msSince(began), ip, session, phone: null })
    // A listener would cost more than the line.
    if (isOver) write(response.statusCode)
    else response.on('close', () => write(statusOf(response)))
  }

  #pathOf(request: FastifyRequest): string {
    const url = request.raw.url ?? ''
    if (this.#plainRoutes.has(url)) return url
    // Of a target that is no path, the router has skipped the first character.
    return (url.startsWith('*') ? undefined : request.routeOptions.url) ?? unknownPath(url)
  }
}

/** Milliseconds with one decimal. */
function msSince(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10
}

/** The status of a finished request. */
function statusOf(response: ServerResponse): number {
  // 499 is nginx's code for a client that disconnected before its response.
  return response.writableFinished ? response.statusCode : 499
}

/** Records the phone number of a request for the log. */
export function notePhone(request: FastifyRequest, text: string): void {
  request.maskedPhone = maskPhoneNumber(text)
}

/** An unknown path for the log: without its query, cut short, and without tokens and numbers. */
function unknownPath(url: string): string {
  return shownPath(url.split('?', 1)[0] ?? '')
}
