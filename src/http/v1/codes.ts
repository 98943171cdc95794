// /v1/codes: request a code.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { CodeSender } from '../../authentication/code-sender.ts'
import { purposes } from '../../codes/purpose.ts'
import { originOf } from '../authenticate.ts'
import { bodyOf } from '../checked-input.ts'
import { problem, withBody } from '../problem-answers.ts'
import { notePhone } from '../request-log.ts'
import { device, mobile, phone_number } from './samples.ts'
import { DeviceProof, NewDevice, PhoneNumber } from './shapes.ts'

const NewCode = Type.Object(
  {
    phone_number: PhoneNumber,
    purpose: Type.Enum([...purposes], {
      type: 'string',
      description:
        'What the code is for: `sign_in` (or sign-up), `reset_password`, `change_phone` (sent to the new number), `close_account`, `confirm` (confirms the identity of a signed-in user).',
    }),
    device: Type.Optional(NewDevice),
    device_proof: Type.Optional(DeviceProof),
  },
  { $id: 'NewCode', additionalProperties: false },
)

const SentCode = Type.Object(
  {
    resend_in: Type.Integer({
      description: 'Seconds until this client may request another code for this number.',
    }),
    expires_in: Type.Integer({ description: 'Seconds that a code is valid after its last message: 300.' }),
  },
  { $id: 'SentCode' },
)

export const codeSchemas = [NewCode, SentCode]

const refusedNumbers = ['phone_number_invalid', 'phone_number_not_mobile', 'country_not_served']

const create = {
  schema: {
    tags: ['codes'],
    summary: 'Send a code 发送验证码',
    description:
      'Six digits, valid for five minutes after the last message that contained them, for five guesses and one use. The answer is the same whether or not the number has an account, and whether or not another client has just requested one.',
    operationId: 'createCode',
    body: Type.Ref('NewCode'),
    response: {
      202: {
        description: 'Accepted. The response does not say whether a message was sent',
        ...Type.Ref('SentCode'),
      },
      ...withBody,
      422: problem('invalid_request', ...refusedNumbers),
      429: problem('rate_limited'),
      500: problem('internal'),
      503: problem('unavailable', 'code_not_sent', 'overloaded'),
    },
  },
  config: {
    caller: 'none',
    examples: {
      body: {
        'To sign in or sign up': { phone_number: mobile, purpose: 'sign_in', device },
        'To confirm my identity': { phone_number, purpose: 'confirm' },
      },
      answers: { 202: { Sent: { resend_in: 60, expires_in: 300 } } },
    },
  },
} as const

interface Parts {
  readonly codeSender: CodeSender
}

export function codeRoutes(app: FastifyInstance, parts: Parts): void {
  app.post('/v1/codes', create, createCode(parts))
}

function createCode({ codeSender }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const body = bodyOf(request, NewCode)
    notePhone(request, body.phone_number)
    const { resendInSeconds, expiresInSeconds } = await codeSender.send(body.phone_number, {
      purpose: body.purpose,
      origin: originOf(request),
      deviceId: body.device?.id ?? null,
      deviceProof: body.device_proof ?? null,
    })
    return reply.code(202).send({ resend_in: resendInSeconds, expires_in: expiresInSeconds })
  }
}
