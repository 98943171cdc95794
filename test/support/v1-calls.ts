// Calls of /v1: through the SDK, as an app makes them, and plain requests for what no app sends.
import { expect } from 'vitest'
import {
  type AccountChanges,
  type ChangePhoneInput,
  createClient,
  fetchTransport,
  type HufuClient,
  HufuError,
  memoryStorage,
  type ResetPasswordInput,
  type SendCodeInput,
  type SetPasswordInput,
  type SignInInput,
} from '../../sdk/src/client.ts'

export type Json = Record<string, unknown>

/** A response of the server. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Empty where the response has no JSON. */
  readonly body: Json
}

export interface PlainRequest {
  readonly token?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

interface Server {
  readonly url: string
}

/** Sends a request that the SDK does not offer: malformed input, other methods, headers. */
export async function ask(
  { url }: Server,
  method: string,
  path: string,
  { token, headers = {}, body }: PlainRequest = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return await answerOf(response)
}

async function answerOf(response: Response): Promise<Answer> {
  const { status, headers } = response
  const text = await response.text()
  const isJson = text !== '' && /json/.test(headers.get('content-type') ?? '')
  return { status, headers, text, body: isJson ? JSON.parse(text) : {} }
}

export interface CallOptions {
  /** The language of the app: `zh-CN` or `en`. */
  readonly language?: string
  /** The IP address of the device, for a server with HUFU_TRUSTED_PROXIES. */
  readonly from?: string
}

/**
 * The SDK's calls, each by an app of its own with the given token in its storage. A call resolves with the
 * response, whatever its status, and fails where the SDK shows the app anything else than the response says.
 */
export function clientOf({ url }: Server, options: CallOptions = {}) {
  /** @param shown what the SDK returns for a successful response; null: nothing that a test can compare */
  async function call(
    token: string | null,
    send: (client: HufuClient) => Promise<unknown>,
    shown: ((body: Json) => unknown) | null = modelOf,
  ): Promise<Answer> {
    const { client, received, errors } = await newApp(url, token, options)
    const result = await send(client).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    // After a closing, the SDK also checks the session: the first response is the one of the call.
    const [response] = received
    if (!response) throw 'error' in result ? result.error : new Error('the SDK has sent no request')
    const answer = await answerOf(response)
    if ('error' in result) expectSameProblem(result.error, answer)
    else if (shown) expectSameValue(result.value, shown, answer)
    expect(errors).toEqual([])
    return answer
  }

  return {
    signIn: (input: SignInInput) => call(null, (client) => client.signIn(input), newSignInOf),
    me: (token: string) => call(token, (client) => client.me()),
    devices: (token: string) =>
      call(
        token,
        (client) => client.devices(),
        ({ sessions }) => modelOf(sessions),
      ),
    endDevice: (token: string, id: string) => call(token, (client) => client.endDevice(id)),
    endOtherDevices: (token: string) => call(token, (client) => client.endOtherDevices()),
    rotate: (token: string) =>
      call(
        token,
        (client) => client.rotate(),
        ({ session }) => modelOf(session),
      ),
    /** The SDK's sign-out resolves whatever the server answers. */
    signOut: (token: string) => call(token, (client) => client.signOut(), null),
    signOutEverywhere: (token: string) => call(token, (client) => client.signOutEverywhere()),
    sendCode: (input: SendCodeInput) => call(null, (client) => secondsOfCode(client, input)),
    resetPassword: (input: ResetPasswordInput) => call(null, (client) => client.resetPassword(input)),
    account: (token: string) => call(token, (client) => client.account()),
    updateAccount: (token: string, changes: AccountChanges) =>
      call(token, (client) => client.updateAccount(changes)),
    setPassword: (token: string, input: SetPasswordInput) =>
      call(token, (client) => client.setPassword(input)),
    changePhone: (token: string, input: ChangePhoneInput) =>
      call(token, (client) => client.changePhone(input)),
    closeAccount: (token: string, code: string) => call(token, (client) => client.closeAccount({ code })),
    exportAccount: (token: string) =>
      call(
        token,
        (client) => client.exportAccount(),
        (body) => body,
      ),
  }
}

/**
 * Creates an app. `received` collects the server's responses, `errors` the errors that no call rejects with.
 */
async function newApp(baseUrl: string, token: string | null, { language, from }: CallOptions) {
  const received: Response[] = []
  const errors: unknown[] = []
  const transport = fetchTransport(async (url, init) => {
    const headers = { ...init.headers, ...(from !== undefined && { 'x-forwarded-for': from }) }
    const response = await fetch(url, { ...init, headers })
    received.push(response.clone())
    return response
  })
  const storage = memoryStorage()
  if (token !== null) await storage.set('hufu', storedSession(token))
  const client = createClient({
    baseUrl,
    transport,
    storage,
    clock: { now: () => 0 },
    onBackgroundError: (error) => void errors.push(error),
    ...(language !== undefined && { language }),
  })
  return { client, received, errors }
}

/** The stored state of an SDK that knows only the token of its session. */
function storedSession(token: string): string {
  const account = { id: '', phoneNumber: null }
  // The public half of a token is the id of its session.
  const session = { id: token.slice(3, 25) }
  return JSON.stringify({ v: 1, is: 'signed_in', token, account, session, rotating: false, toEnd: [] })
}

function newSignInOf({ account, session, created }: Json): unknown {
  return modelOf({ account, session, created })
}

async function secondsOfCode(client: HufuClient, input: SendCodeInput): Promise<object> {
  const { resendIn, expiresIn } = await client.sendCode(input)
  return { resendIn: resendIn.secondsLeft(), expiresIn: expiresIn.secondsLeft() }
}

/** The same members under the SDK's names. */
function modelOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(modelOf)
  if (typeof value !== 'object' || value === null) return value
  const nameOf = (key: string) => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [nameOf(key), modelOf(member)]))
}

function expectSameValue(value: unknown, shown: (body: Json) => unknown, { status, body }: Answer): void {
  expect(status).toBeLessThan(300)
  if (status === 204) expect(value).toBeUndefined()
  else expect(value).toMatchObject(Object(shown(body)))
}

/** The SDK's error shows each fact of the problem details and their headers. */
function expectSameProblem(error: unknown, { status, headers, body }: Answer): void {
  if (!(error instanceof HufuError)) throw error
  const { code, title, request_id, detail = null, rule = null, banned_until = null, fields = [] } = body
  const { requestId, retryAfterSeconds, bannedUntil, signedOut } = error
  expect({ status: error.status, code: error.code, message: error.message, requestId }).toEqual({
    status,
    code,
    message: title,
    requestId: request_id,
  })
  expect(requestId).toBe(headers.get('x-request-id'))
  expect(retryAfterSeconds === null ? null : String(retryAfterSeconds)).toBe(headers.get('retry-after'))
  expect({ detail: error.detail, rule: error.rule, bannedUntil, fields: error.fields }).toEqual({
    detail,
    rule,
    bannedUntil: banned_until,
    fields,
  })
  expect(signedOut).toEqual(status === 401 ? endOf(body) : null)
}

/** The end of a session as the SDK shows it; null where the problem is another one. */
function endOf({ code, title, ended_at = expect.any(String), ended_by = null }: Json): object | null {
  const reason = /^(?:session_)?(.+)$/.exec(String(code))?.[1]
  if (!/^(session_|token_unknown$)/.test(String(code))) return null
  // The members of `ended_by`: docs/errors.md.
  const by = ended_by as { platform: string; device_name: string | null } | null
  const byDevice = by && { platform: by.platform, name: by.device_name }
  return { reason, at: ended_at, byDevice, message: title }
}

/** Signs in with a password, on an iPhone. Retries where the server asks to wait for a second. */
export async function signIn(server: Server, phoneNumber: string, password: string): Promise<string> {
  for (let tries = 0; tries < 5; tries++) {
    const { status, headers, body } = await clientOf(server).signIn({
      phoneNumber,
      password,
      device: { platform: 'ios' },
    })
    if (status === 201) return String(body.token)
    expect([status, headers.get('retry-after')]).toEqual([503, '1'])
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
  return expect.fail('no sign-in within five tries')
}
