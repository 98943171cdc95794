// Settings of phone numbers.
import { parseRegion, type Region } from '../phone/phone.ts'
import { setting, WrongValue } from './setting.ts'

export const phoneSettings = {
  defaultRegion: setting({
    name: 'HUFU_DEFAULT_REGION',
    default: 'CN',
    parse: region,
  }),
}

function region(text: string): Region {
  const known = parseRegion(text)
  if (known) return known
  throw new WrongValue(
    '必须是两个大写字母的地区代码（ISO 3166-1），例如 CN',
    'must be a region in two capital letters (ISO 3166-1), for example CN',
  )
}
