// A custom gateway, written from docs/sms.md: it verifies the signature like the example there.

import { createHmac } from 'node:crypto'
import { httpSms } from '../../../src/sms/drivers/http.ts'
import { type DriverCase, now, secret } from './driver-case.ts'
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

export const httpCase: DriverCase = {
  driver: httpSms,
  gateway: httpGateway({ secret, now }),
  settings: ({ url, secret }) => ({ url: `${url}/send?app=1`, secret }),
  understood: {
    code: {
      template: 'code',
      code: '123456',
      minutes: 5,
      text: {
        'zh-CN': '您的验证码是 123456，5 分钟内有效。请勿告诉任何人。',
        en: "Your code is 123456. It expires in 5 minutes. Don't share it with anyone.",
      },
    },
    changed: {
      template: 'phone_changed',
      new_number: '139****0001',
      text: {
        'zh-CN': '您的账号已换绑手机号 139****0001。如非本人操作，请立即联系客服。',
        en: 'The phone number of your account is now 139****0001. If this was not you, contact support at once.',
      },
    },
  },
  gatewayId: 'own-1',
  refusals: [
    ['number_invalid/E1', 'number_invalid', null],
    ['number_blocked/E2', 'number_blocked', null],
    ['rate_limited/E3', 'rate_limited', null],
    ['misconfigured/E4', 'misconfigured', null],
    ['out_of_funds/E5', 'out_of_funds', null],
    ['unavailable/E6', 'unavailable', null],
    ['400', 'misconfigured', null],
    ['403', 'misconfigured', null],
    ['404', 'misconfigured', null],
    ['429', 'rate_limited', null],
  ],
  perhapsOneNumber: ['400'],
  aboutTemplate: ['misconfigured/E4'],
  doubts: ['500', '503', '504', '408', '409', 'no_such_word'],
  strangers: { key: 'HTTP_401', clock: 'HTTP_401' },
}
