// /v1/codes: ask for a code.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { originOf } from './authenticate.ts'
import { notePhone } from './request-log.ts'
import { type V1Parts, withBody } from './v1.ts'
import { type NewCode, problem } from './v1-schemas.ts'

const refusedNumbers = ['phone_number_invalid', 'phone_number_not_mobile', 'country_not_served']

const create = {
  tags: ['codes'],
  summary: 'Send a code 发送验证码',
  description:
    'Six digits, good for five minutes after the last message that carried them, five guesses and one use. The answer is the same whether or not the number has an account, and whether or not somebody else has just asked.',
  operationId: 'createCode',
  body: Type.Ref('NewCode'),
  response: {
    202: { description: 'Sent, or as if', ...Type.Ref('SentCode') },
    ...withBody,
    422: problem('invalid_request', ...refusedNumbers),
    429: problem('rate_limited'),
    500: problem('internal'),
    503: problem('unavailable', 'code_not_sent', 'overloaded'),
  },
} as const

/** The route of /v1/codes. */
export function v1CodeRoutes({ sendCode }: Pick<V1Parts, 'sendCode'>) {
  return async (app: FastifyInstance): Promise<void> => {
    app.post('/v1/codes', { schema: create, config: { open: true } }, createCode)

    async function createCode(request: FastifyRequest, reply: FastifyReply) {
      // The schema has let only this shape through.
      const {
        phone_number,
        purpose,
        device,
        device_proof: deviceProof = null,
      } = request.body as Static<typeof NewCode>
      notePhone(request, phone_number)
      const origin = originOf(request)
      const deviceId = device?.id ?? null
      const sent = await sendCode.send(phone_number, { purpose, origin, deviceId, deviceProof })
      return reply.code(202).send({ resend_in: sent.resendInSeconds, expires_in: sent.expiresInSeconds })
    }
  }
}
