// Health checks: whether the process is alive, and whether a load balancer should send it requests.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Surface } from '../surface.ts'

export interface HealthParts {
  /** `ok`: it answers, and takes writes. `read_only`: it is read-only, or a standby. Never rejects. */
  readonly database: () => Promise<'ok' | 'read_only' | 'out_of_reach'>
  readonly redis: () => 'ok' | 'out_of_reach' | 'refused' | 'not_used'
  readonly isStopping: () => boolean
}

const tags = ['health']
const Alive = Type.Object({ status: Type.Literal('ok') })
const Ready = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('not_ready'), Type.Literal('stopping')]),
  database: Type.Union([Type.Literal('ok'), Type.Literal('read_only'), Type.Literal('out_of_reach')], {
    description:
      '`ok`: it answers and accepts writes. `read_only`: the connections lead to a read-only server or a standby, as in a fail-over. `out_of_reach`: it does not answer.',
  }),
  redis: Type.Union(
    [Type.Literal('ok'), Type.Literal('out_of_reach'), Type.Literal('refused'), Type.Literal('not_used')],
    {
      description:
        '`out_of_reach`: checks are slower and still right. `refused`: Redis answers, but refuses the commands (password, permissions, disk), with the same effect, until an operator changes that. The server is ready in both cases.',
    },
  ),
})

const live = {
  exposeHeadRoute: true,
  schema: { tags, summary: 'Is the process alive?', operationId: 'getLive', response: { 200: Alive } },
  config: { examples: { answers: { 200: { Alive: { status: 'ok' } } } } },
}

const ready = {
  exposeHeadRoute: true,
  schema: {
    tags,
    summary: 'Can it answer requests?',
    operationId: 'getReady',
    response: { 200: Ready, 503: Ready },
  },
  config: {
    examples: {
      answers: {
        200: {
          Ready: { status: 'ok', database: 'ok', redis: 'not_used' },
          'Redis refuses us': { status: 'ok', database: 'ok', redis: 'refused' },
        },
        503: {
          'Without its database': { status: 'not_ready', database: 'out_of_reach', redis: 'ok' },
          'In a fail-over': { status: 'not_ready', database: 'read_only', redis: 'ok' },
          Stopping: { status: 'stopping', database: 'ok', redis: 'ok' },
        },
      },
    },
  },
}

/** /livez and /readyz. */
export function healthSurface(parts: HealthParts): Surface {
  return {
    name: 'health',
    prefix: '/',
    caller: 'none',
    errors: 'problem',
    document: { tags: [{ name: 'health', description: 'For balancers and supervisors.' }] },
    routes: (app: FastifyInstance) => {
      app.get('/livez', live, async () => ({ status: 'ok' }))
      app.get('/readyz', ready, getReady(parts))
    },
  }
}

function getReady({ database: askDatabase, redis, isStopping }: HealthParts) {
  return async (_request: FastifyRequest, reply: FastifyReply) => {
    const database = await askDatabase()
    const status = isStopping() ? 'stopping' : database === 'ok' ? 'ok' : 'not_ready'
    if (status !== 'ok') reply.code(503).header('retry-after', '1')
    return { status, database, redis: redis() }
  }
}
