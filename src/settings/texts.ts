// Settings of texts that people read.
import { setting, WrongValue } from './setting.ts'

export const textSettings = {
  timeZone: setting({
    name: 'HUFU_TIME_ZONE',
    default: 'Asia/Shanghai',
    meaning: 'Time zone of clock times in messages to people, such as when another device signed in.',
    parse: timeZone,
  }),
}

function timeZone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    throw new WrongValue(
      '必须是 IANA 数据库里的时区，例如 Asia/Shanghai',
      'must be a time zone of the IANA database, for example Asia/Shanghai',
    )
  }
}
