// Servers whose text messages go to a fake gateway.
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { type RunningApp, startApp } from './app.ts'
import { type DatabaseUnderTest, databases } from './databases.ts'
import { FakeGateway } from './gateways/gateway.ts'
import { httpGateway } from './gateways/http.ts'

const secret = 'hunter2'

/**
 * A gateway for the tests of one file, and servers that send through it, by default on SQLite, each closed
 * after its test.
 */
export class SmsApps {
  #gateway: FakeGateway | null = null
  #now = () => Date.now()
  readonly #closers: (() => Promise<void>)[] = []

  constructor() {
    const now = () => this.#now()
    beforeAll(async () => {
      this.#gateway = await FakeGateway.start(httpGateway({ secret, now }))
    })
    afterAll(async () => {
      await this.#gateway?.close()
    })
    beforeEach(() => this.gateway.reset())
    afterEach(async () => {
      for (const close of this.#closers.splice(0).reverse()) await close()
    })
  }

  get gateway(): FakeGateway {
    return this.#gateway ?? expect.fail('the gateway has not started')
  }

  async start(
    environment: Record<string, string> = {},
    database: DatabaseUnderTest = databases[0] ?? expect.fail(),
  ): Promise<RunningApp> {
    const fresh = await database.create()
    this.#closers.push(fresh.drop)
    const sms = { HUFU_SMS: 'http', HUFU_SMS_HTTP_URL: this.gateway.url, HUFU_SMS_HTTP_SECRET: secret }
    const app = await startApp(fresh.url, { environment: { ...sms, ...environment } })
    this.#closers.push(() => app.close())
    this.#now = () => app.clock.now()
    return app
  }
}
