// The API for the operator's own programs, which show a service key.
import type { FastifyInstance } from 'fastify'
import type { KeyAllowance } from '../../service-keys/key-allowance.ts'
import type { Verification } from '../../sessions/verification.ts'
import { Problem, problemExamples } from '../problem-answers.ts'
import type { Surface } from '../surface.ts'
import { forwardAuthRoutes } from './forward-auth.ts'
import { introspectionRoutes, introspectionSchemas } from './introspection.ts'

export interface ServiceParts {
  readonly verification: Verification
  readonly keyAllowance: KeyAllowance
  readonly asUnavailable: (error: unknown) => unknown
}

/** The routes for services. Each names the scope that a key must have. */
export function serviceSurface(parts: ServiceParts): Surface {
  return {
    name: 'service',
    prefix: '/v1/',
    caller: 'service',
    errors: 'problem',
    document: {
      tags: [
        { name: 'introspection', description: 'Which session and account a token belongs to.' },
        { name: 'forward-auth', description: 'Gateways ask whether a request may go on.' },
      ],
      securitySchemes: {
        serviceKey: { type: 'http', scheme: 'bearer', description: 'A key of `hufu keys create`.' },
        serviceKeyBasic: {
          type: 'http',
          scheme: 'basic',
          description: 'The key id as the user, the key as the password.',
        },
        gatewayKey: {
          type: 'apiKey',
          in: 'header',
          name: 'Hufukey',
          description: "The gateway's key, of `hufu keys create`.",
        },
        userToken: { type: 'http', scheme: 'bearer', description: "The user's token." },
      },
      examples: problemExamples(),
      schemas: [...introspectionSchemas, Problem],
    },
    routes: async (app: FastifyInstance) => {
      await app.register(async (inner) => introspectionRoutes(inner, parts))
      await app.register(async (inner) => forwardAuthRoutes(inner, parts))
    },
  }
}
