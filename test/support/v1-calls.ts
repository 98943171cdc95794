// Two calls of /v1 for tests that are about something else.
import { expect } from 'vitest'
import type { RunningApp } from './app.ts'

export interface Answered {
  readonly status: number
  readonly code: string | null
}

/** Asks for the session of a token, or ends it. */
export async function ask({ url }: RunningApp, token: string, method = 'GET'): Promise<Answered> {
  const response = await fetch(`${url}/v1/session`, { method, headers: { authorization: `Bearer ${token}` } })
  const text = await response.text()
  // Every answer of these routes is a JSON object, or nothing.
  const { code = null } = text === '' ? {} : (JSON.parse(text) as { code?: string })
  return { status: response.status, code }
}

/** Signs in with a password; tries again where it is told to wait for a second. */
export async function signIn({ url }: RunningApp, phoneNumber: string, password: string): Promise<string> {
  for (let tries = 0; tries < 5; tries++) {
    const response = await fetch(`${url}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: phoneNumber, password, device: { platform: 'ios' } }),
    })
    if (response.status === 201) return ((await response.json()) as { token: string }).token
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
  return expect.fail('no sign-in within five tries')
}
