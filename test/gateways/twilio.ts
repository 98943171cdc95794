// Twilio's Messages resource as its manual has it: HTTP basic, a form in, JSON out.
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
