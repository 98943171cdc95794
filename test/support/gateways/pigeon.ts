// An invented driver and its gateway, in the form of a real driver's file, for made-up-driver.test.ts.
import { httpUrl, word } from '../../../src/settings/parsers.ts'
import { setting } from '../../../src/settings/setting.ts'
import type { SmsGateway } from '../../../src/sms/sms.ts'
import { driver } from '../../../src/vendors/driver.ts'
import { postToVendor, readJson, textIn, vendorTimeoutMs } from '../../../src/vendors/post.ts'
import type { GatewayKind } from './gateway.ts'

export const pigeonSms = driver({
  name: 'pigeon',
  settings: {
    loft: setting({
      name: 'HUFU_SMS_PIGEON_LOFT',
      default: '',
      parse: httpUrl,
    }),
    ring: setting({
      name: 'HUFU_SMS_PIGEON_RING',
      default: '',
      secret: true,
      parse: word,
    }),
    colour: setting({
      name: 'HUFU_SMS_PIGEON_COLOUR',
      default: 'grey',
      parse: word,
    }),
  },
  required: ['loft', 'ring'],
  open: ({ loft: url, ring, colour }, { clock, timeoutMs = vendorTimeoutMs }): SmsGateway => ({
    name: 'pigeon',
    async send(message, id) {
      const headers = { ring, at: new Date(clock.now()).toISOString() }
      const body = JSON.stringify({ ...message, colour, id })
      const answer = await postToVendor('pigeon', { url, headers, body, timeoutMs })
      return { outcome: 'sent', gatewayId: textIn(readJson('pigeon', answer), 'flight') }
    },
  }),
})

export function pigeonGateway(ring: string): GatewayKind {
  return {
    refuseStranger: ({ headers }) => (headers.ring === ring ? null : { status: 401, body: '' }),
    read({ headers, body }) {
      const { to, id, ...content } = JSON.parse(body)
      return { to, content: { ...content, at: headers.at }, id }
    },
    accepted: (count) => ({ status: 200, body: JSON.stringify({ flight: `flight-${count}` }) }),
    refused: () => ({ status: 502, body: '' }),
  }
}
