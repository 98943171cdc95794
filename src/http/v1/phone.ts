// /v1/account/phone: move the caller's account to another number.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Credentials } from '../../authentication/credentials.ts'
import { callerOf } from '../authenticate.ts'
import { bodyOf } from '../checked-input.ts'
import { closedWithBody, problem, tokenRefused } from '../problem-answers.ts'
import { notePhone } from '../request-log.ts'
import { describeAccount } from './account.ts'
import { exactlyOneOf } from './exactly-one-of.ts'
import { code, details, mobile, password } from './samples.ts'
import { Code, Password, PhoneNumber } from './shapes.ts'

const NewPhone = Type.Object(
  {
    phone_number: PhoneNumber,
    code: Code,
    confirmation: Type.Object(
      { password: Type.Optional(Password), code: Type.Optional(Code) },
      {
        additionalProperties: false,
        description:
          'Confirms the identity of the user: either the `password`, or a `code` for `confirm`, sent to the old number.',
      },
    ),
  },
  { $id: 'NewPhone', additionalProperties: false },
)

export const phoneSchemas = [NewPhone]

const change = {
  schema: {
    tags: ['account'],
    summary: 'Move to another number 更换手机号',
    description: 'All other sessions end, and the old number receives a notice.',
    operationId: 'changePhone',
    security: [{ token: [] }],
    body: Type.Ref('NewPhone'),
    response: {
      200: { description: 'The account with its new number', ...Type.Ref('AccountDetails') },
      ...closedWithBody,
      401: problem(...tokenRefused, 'credentials_wrong', 'code_wrong'),
      409: problem('phone_number_taken', 'phone_number_missing'),
      422: problem('invalid_request', 'phone_number_invalid'),
      429: problem('rate_limited'),
      503: problem('unavailable', 'overloaded'),
    },
  },
  config: {
    examples: {
      body: {
        'With the password': { phone_number: mobile, code, confirmation: { password } },
        'With a code that the old number received': {
          phone_number: mobile,
          code,
          confirmation: { code: '027164' },
        },
      },
      answers: { 200: { Moved: { ...details, phone_number: '+8613800138000' } } },
    },
  },
} as const

interface Parts {
  readonly credentials: Credentials
}

export function phoneRoutes(app: FastifyInstance, parts: Parts): void {
  app.put('/v1/account/phone', change, changePhone(parts))
}

function changePhone({ credentials }: Parts) {
  return async (request: FastifyRequest) => {
    const { phone_number: phoneNumber, code, confirmation: given } = bodyOf(request, NewPhone)
    notePhone(request, phoneNumber)
    const confirmation = exactlyOneOf(given, 'password', 'code', '/confirmation')
    const changed = await credentials.changePhone(callerOf(request), { phoneNumber, code, confirmation })
    return describeAccount(changed)
  }
}
