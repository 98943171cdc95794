// Is the process alive, and should a balancer send it requests?
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

export interface HealthParts {
  /** Rejects where the truth does not answer. */
  readonly askDatabase: () => Promise<unknown>
  readonly redis: () => 'ok' | 'out_of_reach' | 'not_used'
  readonly isStopping: () => boolean
}

const tags = ['health']
const Alive = Type.Object({ status: Type.Literal('ok') })
const Ready = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('not_ready'), Type.Literal('stopping')]),
  database: Type.Union([Type.Literal('ok'), Type.Literal('out_of_reach')]),
  redis: Type.Union([Type.Literal('ok'), Type.Literal('out_of_reach'), Type.Literal('not_used')], {
    description: 'Out of reach: slower, but nothing is wrong; the server is ready all the same.',
  }),
})

/** /livez and /readyz. */
export function healthRoutes({ askDatabase, redis, isStopping }: HealthParts) {
  return async (app: FastifyInstance): Promise<void> => {
    const live = { tags, summary: 'Is the process alive?', operationId: 'getLive', response: { 200: Alive } }
    app.get('/livez', { schema: live, exposeHeadRoute: true }, async () => ({ status: 'ok' }))

    const ready = {
      tags,
      summary: 'Can it answer requests?',
      operationId: 'getReady',
      response: { 200: Ready, 503: Ready },
    }
    app.get('/readyz', { schema: ready, exposeHeadRoute: true }, async (_request, reply) => {
      const database = await askDatabase().then(
        () => 'ok' as const,
        () => 'out_of_reach' as const,
      )
      const stopping = isStopping()
      const status = stopping ? 'stopping' : database === 'ok' ? 'ok' : 'not_ready'
      if (status !== 'ok') reply.code(503).header('retry-after', '1')
      return { status, database, redis: redis() }
    })
  }
}
