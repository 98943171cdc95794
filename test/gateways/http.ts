// An operator's own gateway, written from docs/sms.md: checks the signature as the example there does.
import { createHmac } from 'node:crypto'
import type { GatewayKind } from './gateway.ts'

export function httpGateway({ secret, now }: { secret: string; now: () => number }): GatewayKind {
  return {
    refuseStranger({ method, headers, body }) {
      const timestamp = String(headers['x-hufu-timestamp'])
      const expected = createHmac('sha256', secret).update(timestamp).update('.').update(body).digest('hex')
      const isFresh = Math.abs(Number(timestamp) * 1000 - now()) <= 300_000
      if (method === 'POST' && isFresh && headers['x-hufu-signature'] === expected) return null
      return { status: 401, body: 'who are you?' }
    },
    read({ headers, body }) {
      const { to, text, template, id, ...rest } = JSON.parse(body)
      if (headers['idempotency-key'] !== id) throw new Error('the two ids differ')
      return { to, content: { template, ...rest, text }, id }
    },
    accepted: (count) => ({ status: 200, body: JSON.stringify({ id: `own-${count}` }) }),
    /** `<error>`, `<error>/<gateway code>`, or a status alone. */
    refused(code) {
      if (/^\d+$/.test(code)) return { status: Number(code), body: 'no' }
      const [error, gatewayCode] = code.split('/')
      return { status: 503, body: JSON.stringify({ error, gateway_code: gatewayCode }) }
    },
  }
}
