// One line for each request: who asked for what, how it ended, how long it took. Never a secret.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { maskPhoneNumber } from '../accounts/phone.ts'
import type { AppError } from '../errors.ts'
import { clientAddress } from './client-address.ts'

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
    reply.raw.on('close', () => this.#write(request, reply, performance.now() - began))
  }

  #write(request: FastifyRequest, reply: FastifyReply, ms: number): void {
    this.#log.request({
      requestId: request.id,
      method: request.method,
      path: this.#pathOf(request),
      // 499: nginx's word for a client that did not wait.
      status: reply.raw.writableFinished ? reply.statusCode : 499,
      ms: Math.round(ms * 10) / 10,
      ip: clientAddress(request) ?? undefined,
      session: request.signedIn?.session.id,
      phone: request.maskedPhone,
    })
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
