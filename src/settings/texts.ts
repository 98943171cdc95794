// Settings of texts that people read.
import { setting, WrongValue } from './setting.ts'

const defaultTimeZone = 'Asia/Shanghai'

export const textSettings = {
  timeZone: setting({
    name: 'HUFU_TIME_ZONE',
    default: defaultTimeZone,
    parse: timeZone,
  }),
}

function timeZone(text: string): string {
  // The check loads data about time zones, a fortieth of a start.
  if (text === defaultTimeZone) return text
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    throw new WrongValue(
      '必须是 IANA 数据库里的时区，例如 Asia/Shanghai',
      'must be a time zone of the IANA database, for example Asia/Shanghai',
    )
  }
}
