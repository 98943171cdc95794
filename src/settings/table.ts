// Every setting once, by group. docs/settings.md lists exactly these, in this order; a test compares the two.
import { accountSettings } from './accounts.ts'
import { capacitySettings } from './capacity.ts'
import { classicSettings } from './classic.ts'
import { codeSettings } from './codes.ts'
import { databaseSettings } from './database.ts'
import { httpSettings } from './http.ts'
import { limitSettings } from './limits.ts'
import { logSettings } from './log.ts'
import { phoneSettings } from './phone.ts'
import { redisSettings } from './redis.ts'
import { serverSettings } from './server.ts'
import { sessionSettings } from './sessions.ts'
import { rowsOf } from './setting.ts'
import { smsSettings } from './sms.ts'
import { textSettings } from './texts.ts'

export const settingsTable = {
  server: serverSettings,
  database: databaseSettings,
  redis: redisSettings,
  phone: phoneSettings,
  http: httpSettings,
  limits: limitSettings,
  classic: classicSettings,
  sessions: sessionSettings,
  accounts: accountSettings,
  codes: codeSettings,
  texts: textSettings,
  capacity: capacitySettings,
  log: logSettings,
  sms: smsSettings,
}

/** All settings as a list. */
export const settingRows = rowsOf(settingsTable)
