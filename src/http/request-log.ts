// One line for each request: who asked for what, how it ended, how long it took. Never a secret.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { maskPhoneNumber } from '../accounts/phone.ts'
import type { AppError } from '../errors.ts'
import { clientAddress, plainAddress } from './client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The number that somebody tries to sign in with, masked. */
    maskedPhone: string | null
  }
}

/** Where lines go. */
export interface RequestLog {
  /** One finished request. */
  request(line: RequestLine): void
  /** An error that the client was told nothing about. */
  trouble(request: FastifyRequest, error: AppError): void
}

export interface RequestLine {
  readonly requestId: string
  readonly method: string
  /** The route's pattern; for an address that is not there, the path without its query. */
  readonly path: string
  readonly status: number
  readonly ms: number
  /** Missing where the connection was gone before anybody asked for it, or a proxy passed on what is no address. */
  readonly ip: string | undefined
  /** Public id of the session that asked. */
  readonly session: string | undefined
  /** Masked: +86138****5223. */
  readonly phone: string | null
}

/** Writes a line for each request of an app. */
export class RequestLines {
  readonly #log: RequestLog
  /** Addresses that are routes as they stand: looking one up is cheaper than asking Fastify which route it was. */
  readonly #plainRoutes = new Set<string>()

  constructor(app: FastifyInstance, log: RequestLog) {
    this.#log = log
    app.decorateRequest('maskedPhone', null)
    app.addHook('onRoute', ({ url }) => {
      if (!/[:*]/.test(url)) this.#plainRoutes.add(url)
    })
  }

  /** Writes the line when the request is over. Fastify's onResponse is left out where the client did not wait. */
  follow(request: FastifyRequest, reply: FastifyReply): void {
    // Fastify's own reply.elapsedTime stays 0 without its logger.
    const began = performance.now()
    reply.raw.on('close', () =>
      this.#write(reply.raw, began, {
        requestId: request.id,
        method: request.method,
        path: this.#pathOf(request),
        ip: clientAddress(request) ?? undefined,
        session: request.signedIn?.session.id,
        phone: request.maskedPhone,
      }),
    )
  }

  /** The same for a request that Fastify never sees: GET of a plain route. */
  followQuick(request: IncomingMessage, response: ServerResponse, requestId: string, session?: string): void {
    const began = performance.now()
    const ip = plainAddress(request.socket.remoteAddress)
    response.on('close', () => {
      const path = request.url ?? ''
      this.#write(response, began, { requestId, method: 'GET', path, ip, session, phone: null })
    })
  }

  #write(response: ServerResponse, began: number, line: Omit<RequestLine, 'status' | 'ms'>): void {
    const ms = Math.round((performance.now() - began) * 10) / 10
    // 499: nginx's word for a client that did not wait.
    const status = response.writableFinished ? response.statusCode : 499
    this.#log.request({ ...line, status, ms })
  }

  #pathOf(request: FastifyRequest): string {
    const url = request.raw.url ?? ''
    return this.#plainRoutes.has(url) ? url : (request.routeOptions.url ?? unknownPath(url))
  }
}

/** Notes for the log whose number a request is about. */
export function notePhone(request: FastifyRequest, text: string): void {
  request.maskedPhone = maskPhoneNumber(text)
}

/** A stranger wrote this: no query, not too long, and nothing in it that could be a token. */
function unknownPath(url: string): string {
  const path = url.split('?', 1)[0] ?? ''
  return path
    .slice(0, 200)
    .replaceAll(/hf_[\w-]*/g, 'hf_…')
    .replaceAll(/\d{7,}/g, '…')
}
