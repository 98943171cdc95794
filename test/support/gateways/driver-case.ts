// The parts that the tests of every SMS driver need from the file of its gateway.
import { ManualClock } from '../../../src/clock.ts'
import type { SmsErrorCode, SmsGateway } from '../../../src/sms/sms.ts'
import type { Templates } from '../../../src/sms/template.ts'
import type { Driver } from '../../../src/vendors/driver.ts'
import type { GatewayKind } from './gateway.ts'

export const secret = 'hunter2-hunter2-hunter2'
export const gatewayClock = new ManualClock(Date.UTC(2026, 10, 22, 16))
export const now = () => gatewayClock.now()

/** The test case of a driver. */
export interface DriverCase {
  readonly driver: Driver<SmsGateway>
  readonly gateway: GatewayKind
  /** The settings of the driver, for this gateway. */
  settings(of: {
    readonly url: string
    readonly secret: string
    readonly templates: Templates
  }): Readonly<Record<string, unknown>>
  /** The two messages as the gateway parses them. */
  readonly understood: { readonly code: unknown; readonly changed: unknown }
  readonly gatewayId: string
  /** The gateway's error, Hufu's code, and seconds to wait. */
  readonly refusals: readonly [string, SmsErrorCode, number | null][]
  /** Errors that may depend on the number, although they concern the operator's account or the gateway. */
  readonly perhapsOneNumber: readonly string[]
  /** Refusals whose cause may be the template, so that another kind of message may be accepted. */
  readonly aboutTemplate: readonly string[]
  /** Errors that may have occurred after the message was sent. */
  readonly doubts: readonly string[]
  /** The refusals of a wrong key, and of a clock that is a day wrong (null: it is not checked). */
  readonly strangers: { readonly key: string; readonly clock: string | null }
}
