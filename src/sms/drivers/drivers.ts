// The drivers of text messages. A new driver is a file beside this one and a line in this list.
import { Drivers } from '../../vendors/driver.ts'
import type { SmsGateway } from '../sms.ts'
import { aliyunSms } from './aliyun.ts'
import { consoleSms } from './console.ts'
import { httpSms } from './http.ts'
import { tencentSms } from './tencent.ts'
import { twilioSms } from './twilio.ts'

/** The order is that of messages and of docs/settings.md. */
export const smsDrivers = new Drivers<SmsGateway>(consoleSms, httpSms, aliyunSms, tencentSms, twilioSms)
