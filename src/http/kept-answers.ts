// What "who am I" answers, as text: made once for each copy of a session, because writing it costs more than the check.
import type { FastifyReply } from 'fastify'
import type { SignedIn } from './authenticate.ts'

export const jsonType = 'application/json; charset=utf-8'

/** Answers of one route. They go with what they were made of. */
export class KeptAnswers {
  readonly #make: (who: SignedIn) => object
  readonly #kept = new WeakMap<SignedIn, string>()

  /** @param make the answer; it may depend on nothing but `who` */
  constructor(make: (who: SignedIn) => object) {
    this.#make = make
  }

  /** JSON. */
  textFor(who: SignedIn): string {
    let text = this.#kept.get(who)
    if (text === undefined) {
      text = JSON.stringify(this.#make(who))
      this.#kept.set(who, text)
    }
    return text
  }

  send(reply: FastifyReply, who: SignedIn): FastifyReply {
    return reply.header('content-type', jsonType).send(this.textFor(who))
  }
}
