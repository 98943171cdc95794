// /v1: the API for apps. One file for each resource: its schemas, its examples, its handlers.
import type { FastifyInstance } from 'fastify'
import type { Accounts } from '../../accounts/accounts.ts'
import type { AccountLifecycle } from '../../accounts/lifecycle.ts'
import type { CodeSender } from '../../authentication/code-sender.ts'
import type { Credentials } from '../../authentication/credentials.ts'
import type { SignInService } from '../../authentication/sign-in.ts'
import type { Limiter } from '../../limits/limiter.ts'
import type { Sessions } from '../../sessions/sessions.ts'
import type { Verification } from '../../sessions/verification.ts'
import type { FastRoutes } from '../fast-path.ts'
import type { RequestLifecycle } from '../lifecycle.ts'
import { Problem, problemExamples } from '../problem-answers.ts'
import type { Surface } from '../surface.ts'
import { accountRoutes, accountSchemas } from './account.ts'
import { codeRoutes, codeSchemas } from './codes.ts'
import { exportRoutes, exportSchemas } from './export.ts'
import { passwordRoutes, passwordSchemas } from './password.ts'
import { phoneRoutes, phoneSchemas } from './phone.ts'
import { currentSessionFastRoute, sessionRoutes, sessionSchemas } from './session.ts'
import { sessionsRoutes, sessionsSchemas } from './sessions.ts'
import { addTwins } from './twins.ts'

export interface V1Parts {
  readonly accounts: Accounts
  readonly signIn: SignInService
  readonly credentials: Credentials
  readonly accountLifecycle: AccountLifecycle
  readonly codeSender: CodeSender
  readonly sessions: Sessions
  readonly verification: Verification
  readonly limiter: Limiter
}

/** The routes of /v1. Their callers are sessions, unless a route says otherwise. */
export function v1Surface(parts: V1Parts, fast: FastRoutes, lifecycle: RequestLifecycle): Surface {
  fast.push(currentSessionFastRoute)
  return {
    name: 'v1',
    prefix: '/v1/',
    caller: 'session',
    errors: 'problem',
    document: {
      tags: [
        { name: 'codes', description: 'Text messages with six digits.' },
        { name: 'sessions', description: 'Sign in, read the current session, list the devices, sign out.' },
        { name: 'account', description: 'Profile, password, phone number, export, closing.' },
      ],
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'The token that `POST /v1/sessions` returned.',
        },
      },
      examples: problemExamples(),
      schemas: [
        ...codeSchemas,
        ...sessionsSchemas,
        ...sessionSchemas,
        ...accountSchemas,
        ...passwordSchemas,
        ...phoneSchemas,
        ...exportSchemas,
        Problem,
      ],
    },
    routes: (app: FastifyInstance) => {
      addTwins(app)
      codeRoutes(app, parts)
      sessionsRoutes(app, parts)
      sessionRoutes(app, parts)
      accountRoutes(app, parts)
      passwordRoutes(app, parts)
      phoneRoutes(app, parts)
      exportRoutes(app, parts, lifecycle)
    },
  }
}
