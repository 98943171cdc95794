// Twilio's Messages resource according to its manual: HTTP basic, a form in, JSON out.
import { twilioSms } from '../../../src/sms/drivers/twilio.ts'
import { type DriverCase, secret } from './driver-case.ts'
import type { GatewayKind, WireAnswer } from './gateway.ts'

export interface TwilioAccount {
  readonly sid: string
  readonly token: string
}

export function twilioGateway(account: TwilioAccount): GatewayKind {
  return {
    refuseStranger({ method, url, headers }) {
      const [, encoded = ''] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? []
      if (Buffer.from(encoded, 'base64').toString() !== `${account.sid}:${account.token}`)
        return restException(401, 20003)
      const path = `/2010-04-01/Accounts/${account.sid}/Messages.json`
      if (method !== 'POST' || url.pathname !== path) return restException(404, 20404)
      return null
    },
    read({ body }) {
      const form = new URLSearchParams(body)
      const content = {
        text: form.get('Body'),
        from: form.get('From'),
        service: form.get('MessagingServiceSid'),
      }
      return { to: form.get('To') ?? '', content, id: null }
    },
    accepted: (count) => ({
      status: 201,
      body: JSON.stringify({
        account_sid: account.sid,
        api_version: '2010-04-01',
        body: 'Sent from your Twilio trial account',
        direction: 'outbound-api',
        error_code: null,
        error_message: null,
        num_segments: '1',
        price: null,
        sid: `SM${String(count).padStart(32, '0')}`,
        status: 'queued',
      }),
    }),
    refused(code) {
      const statuses: Readonly<Record<string, number>> = { 20003: 401, 20005: 403, 20429: 429, 20500: 500 }
      return restException(statuses[code] ?? 400, Number(code))
    },
  }
}

function restException(status: number, code: number): WireAnswer {
  return {
    status,
    body: JSON.stringify({
      code,
      message: "The 'To' number +8613800005223 is not a valid phone number. 123456",
      more_info: `https://www.twilio.com/docs/errors/${code}`,
      status,
    }),
  }
}

export const twilioCase: DriverCase = {
  driver: twilioSms,
  gateway: twilioGateway({ sid: 'AC1', token: secret }),
  settings: ({ url, secret }) => ({
    endpoint: url,
    accountSid: 'AC1',
    authToken: secret,
    from: '+15005550006',
  }),
  understood: {
    // Not in the GSM alphabet: the text must arrive unchanged.
    code: {
      text: '您的验证码是 123456，5 分钟内有效。请勿告诉任何人。',
      from: '+15005550006',
      service: null,
    },
    changed: {
      text: '您的账号已换绑手机号 139****0001。如非本人操作，请立即联系客服。',
      from: '+15005550006',
      service: null,
    },
  },
  gatewayId: 'SM00000000000000000000000000000001',
  refusals: [
    ['21211', 'number_invalid', null],
    ['21614', 'number_invalid', null],
    ['21610', 'number_blocked', null],
    ['63038', 'rate_limited', null],
    ['21606', 'misconfigured', null],
    ['21408', 'destination_refused', null],
    ['20003', 'misconfigured', null],
    ['20005', 'out_of_funds', null],
    ['20429', 'unavailable', null],
  ],
  // 21606: not a valid sender for this destination.
  perhapsOneNumber: ['21606', '20429'],
  aboutTemplate: [],
  doubts: ['20500'],
  strangers: { key: '20003', clock: null },
}
