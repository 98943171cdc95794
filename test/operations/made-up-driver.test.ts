// A driver outside of the source: its line in the list is all that the rest of the program needs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { doctor } from '../../src/cli/doctor.ts'
import { Output } from '../../src/cli/output.ts'
import { testSms } from '../../src/cli/sms.ts'
import { hiderOf } from '../../src/secrets.ts'
import { secretTexts } from '../../src/settings/environment.ts'
import { readSettings } from '../../src/settings/settings.ts'
import type * as List from '../../src/sms/drivers/drivers.ts'
import type { SmsGateway } from '../../src/sms/sms.ts'
import { startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { FakeGateway } from '../support/gateways/gateway.ts'
import { pigeonGateway } from '../support/gateways/pigeon.ts'

vi.mock('../../src/sms/drivers/drivers.ts', async (load) => {
  const { smsDrivers } = await load<typeof List>()
  const { Drivers } = await import('../../src/vendors/driver.ts')
  const { pigeonSms } = await import('../support/gateways/pigeon.ts')
  return { smsDrivers: new Drivers<SmsGateway>(...smsDrivers.all, pigeonSms) }
})

const ring = 'hunter2-hunter2'
const phone = '13800005223'
const folder = mkdtempSync(join(tmpdir(), 'hufu-driver-'))
let gateway: FakeGateway
let environment: Record<string, string>

beforeAll(async () => {
  gateway = await FakeGateway.start(pigeonGateway(ring))
  environment = {
    HUFU_DATABASE_URL: `sqlite:${folder}/hufu.db`,
    HUFU_SMS: 'pigeon',
    HUFU_SMS_PIGEON_LOFT: gateway.url,
    HUFU_SMS_PIGEON_RING: ring,
  }
})
beforeEach(() => gateway.reset())
afterEach(() => vi.restoreAllMocks())
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await gateway?.close()
})

/** Runs a command in this process, where the list has the driver. */
async function printedBy(command: (context: Context) => Promise<number>, more: Record<string, string> = {}) {
  const read = { ...environment, ...more }
  let printed = ''
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      printed += String(text)
      return true
    })
  const output = new Output({ json: false, chinese: false, hide: hiderOf(secretTexts(read)) })
  const code = await command({ settings: readSettings(read), output })
  vi.restoreAllMocks()
  return { code, printed }
}

test('its settings are read, with their defaults, and the secret one from a file too', () => {
  const loft = `${gateway.url}/`
  expect(readSettings(environment).sms).toMatchObject({
    chosen: ['pigeon'],
    drivers: { pigeon: { loft, ring, colour: 'grey' } },
  })
  const path = join(folder, 'ring')
  writeFileSync(path, `${ring}\n`)
  const { HUFU_SMS_PIGEON_RING: _, ...others } = environment
  const fromFile = { ...others, HUFU_SMS_PIGEON_RING_FILE: path }
  expect(readSettings(fromFile).sms.drivers.pigeon).toEqual({ loft, ring, colour: 'grey' })
  expect(secretTexts(fromFile)).toContain(ring)
})

test.each([
  [
    { HUFU_SMS_PIGEON_LOFT: '' },
    'HUFU_SMS is "pigeon", but HUFU_SMS_PIGEON_LOFT is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS_PIGEON_RING: '' },
    'HUFU_SMS is "pigeon", but HUFU_SMS_PIGEON_RING is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS: 'pigeon,http' },
    'HUFU_SMS is "pigeon,http", but HUFU_SMS_HTTP_URL is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.',
  ],
  [
    { HUFU_SMS: 'dove' },
    'HUFU_SMS must be one of: console, http, aliyun, tencent, twilio, pigeon; or two different ones with a comma between them, the second for fail-over (it is "dove").',
  ],
  [
    { HUFU_SMS_PIGEON_RING: 'hunter2 hunter2' },
    'HUFU_SMS_PIGEON_RING must be letters, digits and signs without white space.',
  ],
  [
    { HUFU_SMS_PIGEON_WING: 'left' },
    'HUFU_SMS_PIGEON_WING is not a setting of Hufu; is HUFU_SMS_PIGEON_RING meant? All settings: docs/settings.md.',
  ],
  [
    { HUFU_SMS_PIGEON_COLOUR_FILE: '/x' },
    'HUFU_SMS_PIGEON_COLOUR_FILE is not known: only secrets are read from files; set HUFU_SMS_PIGEON_COLOUR.',
  ],
])('%j stops the start with the usual sentence', (wrong, sentence) => {
  expect(() => readSettings({ ...environment, ...wrong })).toThrow(
    expect.objectContaining({ message: sentence }),
  )
})

test('it needs nothing while another driver is chosen', () => {
  expect(readSettings({ HUFU_SMS: 'console' }).sms.drivers.pigeon).toEqual({
    loft: '',
    ring: '',
    colour: 'grey',
  })
})

test('doctor names it, and sends no request', async () => {
  const { code, printed } = await printedBy(doctor)
  expect(printed).toMatch(/^✓ sms {8}pigeon \(/m)
  expect([code, gateway.requests]).toEqual([0, []])
  expect(printed).not.toContain(ring)
})

test('"sms test" sends through it, and reports its errors', async () => {
  const sent = await printedBy((context) => testSms(context, phone))
  expect(sent.code).toBe(0)
  expect(sent.printed).toMatch(/^pigeon accepted the message to \+86138\*\*\*\*5223 \([\w-]+, flight-1\)\n$/)
  const refused = await printedBy((context) => testSms(context, phone), { HUFU_SMS_PIGEON_RING: `${ring}x` })
  expect(refused).toMatchObject({
    code: 3,
    printed: expect.stringMatching(/^pigeon: unavailable \(HTTP_401\)\. /),
  })
})

test('a server sends the codes of its users through it, by its own clock', async () => {
  const [sqlite = expect.fail()] = databases
  const { url, drop } = await sqlite.create()
  const app = await startApp(url, { environment: { ...environment, HUFU_DATABASE_URL: url } })
  try {
    const answer = await fetch(`${app.url}/v1/codes`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: phone, purpose: 'sign_in' }),
    })
    expect(answer.status).toBe(202)
    const at = new Date(app.clock.now()).toISOString()
    expect(gateway.taken).toMatchObject([
      {
        to: `+86${phone}`,
        content: { template: 'code', code: expect.stringMatching(/^\d{6}$/), colour: 'grey', at },
      },
    ])
  } finally {
    await app.close()
    await drop()
  }
})
