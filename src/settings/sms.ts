// Settings of text messages. A driver's own settings are in its file, in sms/drivers/.
import { parseRegion, type Region } from '../phone/phone.ts'
import { smsDrivers } from '../sms/drivers/drivers.ts'
import { oneOf } from './parsers.ts'
import { SettingsError, setting, type ValuesOf, WrongValue } from './setting.ts'

const names = smsDrivers.all.map(({ name }) => name)

export const smsSettings = {
  chosen: setting({
    name: 'HUFU_SMS',
    default: 'console',
    parse: chosen,
  }),
  countries: setting({
    name: 'HUFU_SMS_COUNTRIES',
    default: '',
    parse: countries,
  }),
  numbers: setting({
    name: 'HUFU_SMS_NUMBERS',
    default: 'mobile',
    parse: oneOf('mobile', 'possible'),
  }),
  drivers: smsDrivers.settings,
}

/** @throws SettingsError that names the first setting that a chosen driver lacks */
export function assertSmsSettings({ chosen, drivers }: ValuesOf<typeof smsSettings>): void {
  const missing = smsDrivers.missingSetting(chosen, drivers)
  if (missing === null) return
  throw new SettingsError(
    `HUFU_SMS 是“${chosen.join(',')}”，但没有设置 ${missing}：请按 docs/sms.zh-CN.md 设置；开发时可用 HUFU_SMS=console。`,
    `HUFU_SMS is "${chosen.join(',')}", but ${missing} is not set: set it as docs/sms.md says, or use HUFU_SMS=console while you develop.`,
  )
}

/** The drivers to try, in this order. */
function chosen(text: string): readonly [string, ...string[]] {
  const words = text.split(',').map((word) => word.trim())
  const [first, ...more] = words.flatMap((word) => names.filter((name) => name === word))
  const areKnown = first !== undefined && more.length === words.length - 1
  if (!areKnown || new Set(words).size !== words.length) {
    throw new WrongValue(
      `必须是下列之一：${names.join('、')}；或者用逗号隔开的两个，第二个用于故障切换`,
      `must be one of: ${names.join(', ')}; or two different ones with a comma between them, the second for fail-over`,
    )
  }
  if (more.length > 1) throw new WrongValue('最多写两个驱动', 'must name two drivers at most')
  if (more.length > 0 && words.includes('console'))
    throw new WrongValue(
      '不能把 console 和短信网关放在一起：验证码会被打印而不是发出',
      'must not combine console with a gateway: codes would be printed instead of sent',
    )
  return [first, ...more]
}

const countriesForm = [
  '必须是用逗号隔开的地区代码（ISO 3166-1），可带每天的条数，例如 CN,HK=200；* 表示所有其他地区',
  'must be regions (ISO 3166-1) with commas between them, each perhaps with messages a day, for example CN,HK=200; * is every other region',
] as const

/** `CN,HK=200,*=50` -> regions and the daily maximum of messages for each; null where none is given. */
function countries(text: string): ReadonlyMap<Region | '*', number | null> {
  const items = text === '' ? [] : text.split(',').map((item) => item.trim())
  const listed = new Map<Region | '*', number | null>()
  for (const item of items) {
    const [, name = '', budget] = /^([A-Z]{2}|\*)(?:=(\d{1,9}))?$/.exec(item) ?? []
    const region = name === '*' ? name : parseRegion(name)
    if (region === null || listed.has(region)) throw new WrongValue(...countriesForm)
    listed.set(region, budget === undefined ? null : Number(budget))
  }
  return listed
}
