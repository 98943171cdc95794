// /v1/account/password and /v1/password-resets: set, change or replace a password.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Credentials } from '../../authentication/credentials.ts'
import { callerOf, originOf } from '../authenticate.ts'
import { bodyOf } from '../checked-input.ts'
import { closedWithBody, problem, tokenRefused, withBody } from '../problem-answers.ts'
import { notePhone } from '../request-log.ts'
import { exactlyOneOf } from './exactly-one-of.ts'
import { code, password, phone_number } from './samples.ts'
import { Code, DeviceProof, Password, PhoneNumber } from './shapes.ts'

const NewPassword = Type.Object(
  {
    new_password: Password,
    current_password: Type.Optional(Password),
    code: Type.Optional(Code),
  },
  {
    $id: 'NewPassword',
    additionalProperties: false,
    description: 'With either `current_password` or a `code` for `confirm`.',
  },
)

const PasswordReset = Type.Object(
  {
    phone_number: PhoneNumber,
    code: Code,
    new_password: Password,
    device_proof: Type.Optional(DeviceProof),
  },
  { $id: 'PasswordReset', additionalProperties: false },
)

export const passwordSchemas = [NewPassword, PasswordReset]

const tags = ['account']

const routes = {
  change: {
    schema: {
      tags,
      summary: 'Set or change my password 设置或修改密码',
      description: 'All other sessions end.',
      operationId: 'changePassword',
      security: [{ token: [] }],
      body: Type.Ref('NewPassword'),
      response: {
        204: { description: 'Changed', type: 'null' },
        ...closedWithBody,
        401: problem(...tokenRefused, 'credentials_wrong', 'code_wrong'),
        409: problem('phone_number_missing'),
        422: problem('invalid_request', 'password_refused'),
        429: problem('rate_limited'),
        503: problem('unavailable', 'overloaded'),
      },
    },
    config: {
      examples: {
        body: {
          'With the old password': { current_password: '123456', new_password: password },
          'With a code for confirm': { code, new_password: password },
        },
      },
    },
  },
  reset: {
    schema: {
      tags,
      summary: 'Forgotten password 忘记密码',
      description: 'With a code for `reset_password`. All sessions end.',
      operationId: 'resetPassword',
      body: Type.Ref('PasswordReset'),
      response: {
        204: { description: 'Changed; sign in with it', type: 'null' },
        ...withBody,
        401: problem('code_wrong'),
        403: problem('account_banned'),
        422: problem('invalid_request', 'phone_number_invalid', 'password_refused'),
        429: problem('rate_limited'),
        500: problem('internal'),
        503: problem('unavailable', 'overloaded'),
      },
    },
    config: {
      caller: 'none',
      examples: {
        body: { 'With a code for reset_password': { phone_number, code, new_password: password } },
      },
    },
  },
} as const

interface Parts {
  readonly credentials: Credentials
}

export function passwordRoutes(app: FastifyInstance, parts: Parts): void {
  app.put('/v1/account/password', routes.change, changePassword(parts))
  app.post('/v1/password-resets', routes.reset, resetPassword(parts))
}

function changePassword({ credentials }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const body = bodyOf(request, NewPassword)
    const credential = exactlyOneOf(body, 'current_password', 'code')
    const stepUp = 'code' in credential ? credential : { password: credential.current_password }
    await credentials.changePassword(callerOf(request), body.new_password, stepUp)
    return reply.code(204).send()
  }
}

function resetPassword({ credentials }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const body = bodyOf(request, PasswordReset)
    const { phone_number: phoneNumber, code, new_password: newPassword } = body
    notePhone(request, phoneNumber)
    const reset = { phoneNumber, code, newPassword, deviceProof: body.device_proof ?? null }
    await credentials.resetPassword(reset, originOf(request))
    return reply.code(204).send()
  }
}
