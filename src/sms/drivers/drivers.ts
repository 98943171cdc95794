// The drivers of text messages: a new one is a file beside this one, and its line here.
import { Drivers } from '../../vendors/driver.ts'
import type { SmsGateway } from '../sms.ts'
import { aliyunSms } from './aliyun.ts'
import { consoleSms } from './console.ts'
import { httpSms } from './http.ts'
import { tencentSms } from './tencent.ts'
import { twilioSms } from './twilio.ts'

/** In the order in which messages and docs/settings.md name them. */
export const smsDrivers = new Drivers<SmsGateway>(consoleSms, httpSms, aliyunSms, tencentSms, twilioSms)
