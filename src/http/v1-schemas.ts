// The shapes of the v1 API, once: validation, OpenAPI and the SDK's types all come from here.
import { type TSchema, Type } from 'typebox'
import { purposes } from '../codes/codes.ts'
import { errorCodes } from '../errors.ts'
import { platforms } from '../sessions/session.ts'
import { idempotencyKeyPattern } from '../sessions/sign-in-repeats.ts'

const nullable = <T extends TSchema>(schema: T, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description })
const time = (description?: string) =>
  Type.String({ format: 'date-time', ...(description !== undefined && { description }) })

// No control characters, halves of characters, line separators, or characters that turn the direction of text or hide.
const plainText =
  '^(?=.*\\S)[^\\p{Cc}\\p{Cs}\\u00AD\\u200B\\u200E\\u200F\\u2028-\\u202E\\u2060-\\u2069\\uFEFF]+$'
// RFC 3986: a host name, perhaps a port, then a path or a query of the characters that a URL may have.
const httpsUrl =
  '^https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:[/?][A-Za-z0-9._~:/?#@!$&()*+,;=%\\x27\\[\\]-]*)?$'
const printableAscii = '^[\\x21-\\x7E]+$'

export const appPlatforms = platforms.filter((platform) => platform !== 'classic')

const AppPlatform = Type.Enum(appPlatforms, { type: 'string', description: 'What the app runs on.' })
const Platform = Type.Enum([...platforms], { type: 'string' })

export const NewDevice = Type.Object(
  {
    platform: Type.Optional(AppPlatform),
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: printableAscii,
        description: 'Stays the same on this device.',
      }),
    ),
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, pattern: plainText, examples: ['iPhone 15'] }),
    ),
    app_version: Type.Optional(
      Type.String({ minLength: 1, maxLength: 32, pattern: plainText, examples: ['2.1.0'] }),
    ),
  },
  {
    additionalProperties: false,
    description: 'The device that signs in; people see it in their list of devices.',
  },
)

// White space and what a person cannot see, before, between and behind the digits, as keyboards and contacts add them.
const unseen = '[\\s\\p{Default_Ignorable_Code_Point}-]*'

const PhoneNumber = Type.String({
  minLength: 1,
  maxLength: 64,
  description:
    'With + and country code, or as it is dialled in the default region. Spaces, hyphens, brackets, full-width digits and invisible characters change nothing.',
  examples: ['12345678901'],
})
const Password = Type.String({ minLength: 1, maxLength: 256, examples: ['123456'] })
const sixDigits = `^${unseen}(?:[0-9\\uFF10-\\uFF19]${unseen}){6}$`
const languageTag = '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$'

const forms = new Map([
  [plainText, 'plain_text'],
  [httpsUrl, 'https_url'],
  [printableAscii, 'printable_ascii'],
  [sixDigits, 'code'],
  [languageTag, 'locale'],
  [idempotencyKeyPattern, 'random_key'],
])

/** The name of a pattern, for field-words.ts. */
export function formOfPattern(pattern: string): string | undefined {
  return forms.get(pattern)
}

const Code = Type.String({
  maxLength: 64,
  pattern: sixDigits,
  description: 'Six digits, from the message. Spaces and full-width digits change nothing.',
  examples: ['123456'],
})
const Nickname = Type.String({ minLength: 1, maxLength: 64, pattern: plainText, examples: ['测试用户1'] })

const DeviceProof = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: printableAscii,
  description:
    'What an earlier sign-in on this installation answered as `device_proof`. While strangers try this number, it keeps the way open. A wrong one is as if none was sent.',
})

export const NewCode = Type.Object(
  {
    phone_number: PhoneNumber,
    purpose: Type.Enum([...purposes], {
      type: 'string',
      description:
        'What the code is for: `sign_in` (or up), `reset_password`, `change_phone` (to the new number), `close_account`, `confirm` (that it is you).',
    }),
    device: Type.Optional(NewDevice),
    device_proof: Type.Optional(DeviceProof),
  },
  { $id: 'NewCode', additionalProperties: false },
)

export const SentCode = Type.Object(
  {
    resend_in: Type.Integer({ description: 'Seconds until this client may ask again for this number.' }),
    expires_in: Type.Integer({ description: 'Seconds that a code is good after its last message: 300.' }),
  },
  { $id: 'SentCode' },
)

export const NewSession = Type.Object(
  {
    phone_number: PhoneNumber,
    password: Type.Optional(Password),
    code: Type.Optional(Code),
    nickname: Type.Optional(
      Type.Unsafe<string>({ ...Nickname, description: 'For an account that is made by this sign-in.' }),
    ),
    device: Type.Optional(NewDevice),
    device_proof: Type.Optional(DeviceProof),
  },
  {
    $id: 'NewSession',
    additionalProperties: false,
    description: 'With either `password` or `code`.',
  },
)

export const AccountDetails = Type.Object(
  {
    id: Type.String({ description: 'UUID.' }),
    phone_number: Type.String({ description: 'E.164.', examples: ['+8612345678901'] }),
    nickname: nullable(Type.String()),
    avatar_url: nullable(Type.String()),
    locale: nullable(Type.String({ description: 'BCP 47.', examples: ['zh-CN'] })),
    has_password: Type.Boolean(),
    registered_at: time(),
  },
  { $id: 'AccountDetails' },
)

export const AccountChange = Type.Object(
  {
    nickname: Type.Optional(nullable(Nickname)),
    avatar_url: Type.Optional(nullable(Type.String({ maxLength: 512, pattern: httpsUrl }), 'https only.')),
    locale: Type.Optional(nullable(Type.String({ maxLength: 16, pattern: languageTag }), 'BCP 47.')),
  },
  {
    $id: 'AccountChange',
    additionalProperties: false,
    description: 'A field that is not there stays as it is.',
  },
)

export const NewPassword = Type.Object(
  {
    new_password: Password,
    current_password: Type.Optional(Password),
    code: Type.Optional(Code),
  },
  {
    $id: 'NewPassword',
    additionalProperties: false,
    description: 'With either `current_password` or a `code` for `confirm`.',
  },
)

export const PasswordReset = Type.Object(
  {
    phone_number: PhoneNumber,
    code: Code,
    new_password: Password,
    device_proof: Type.Optional(DeviceProof),
  },
  { $id: 'PasswordReset', additionalProperties: false },
)

export const NewPhone = Type.Object(
  {
    phone_number: PhoneNumber,
    code: Code,
    confirmation: Type.Object(
      { password: Type.Optional(Password), code: Type.Optional(Code) },
      {
        additionalProperties: false,
        description: 'That it is you: either the `password`, or a `code` for `confirm` from the old number.',
      },
    ),
  },
  { $id: 'NewPhone', additionalProperties: false },
)

export const Closing = Type.Object({ code: Code }, { $id: 'Closing', additionalProperties: false })
export const ClosingAccount = Type.Object(
  { closes_at: time('From then on the account is gone for good; signing in before takes it back.') },
  { $id: 'ClosingAccount' },
)

export const AccountExport = Type.Object(
  {
    account: Type.Ref('AccountDetails'),
    sessions: Type.Array(
      Type.Object({
        id: Type.String(),
        platform: Platform,
        device_id: nullable(Type.String()),
        device_name: nullable(Type.String()),
        app_version: nullable(Type.String()),
        ip: nullable(Type.String()),
        created_at: time(),
        seen_at: time(),
        ended_at: nullable(time()),
        end_reason: nullable(Type.String()),
      }),
    ),
    events: Type.Array(
      Type.Object({
        at: time(),
        kind: Type.String(),
        session_id: nullable(Type.String()),
        ip: nullable(Type.String()),
        detail: nullable(Type.Object({}, { additionalProperties: true })),
      }),
    ),
  },
  { $id: 'AccountExport' },
)

export const Account = Type.Object(
  {
    id: Type.String({ description: 'UUID.' }),
    phone_number: Type.String({ description: 'E.164.', examples: ['+8612345678901'] }),
    nickname: nullable(Type.String()),
  },
  { $id: 'Account' },
)

export const Session = Type.Object(
  {
    id: Type.String({ description: 'Public: it names the session and proves nothing.' }),
    platform: Platform,
    device: Type.Object({
      id: nullable(Type.String()),
      name: nullable(Type.String()),
      app_version: nullable(Type.String()),
    }),
    ip: nullable(Type.String(), 'Address of the sign-in.'),
    created_at: time('When it was signed in.'),
    seen_at: time('When it was last used; exact to a few minutes.'),
    expires_at: nullable(time(), 'When it ends unless it is used before; null: never.'),
    current: Type.Boolean({ description: 'Whether it is the session that asks.' }),
  },
  { $id: 'Session' },
)

export const SignedIn = Type.Object(
  { session: Type.Ref('Session'), account: Type.Ref('Account') },
  { $id: 'SignedIn' },
)

export const IssuedSession = Type.Object(
  {
    token: Type.String({
      description: 'Proves the session. Shown only here; keep it in the secure storage of the device.',
    }),
    session: Type.Ref('Session'),
    account: Type.Ref('Account'),
    created: Type.Boolean({ description: 'Whether this sign-in made the account.' }),
    device_proof: Type.Optional(
      Type.String({
        description:
          'Keep it with the app, also after signing out, and send it with the next `POST /v1/codes`, `/v1/sessions` and `/v1/password-resets` for this number. Shown only here; absent where the request brought a good one.',
      }),
    ),
  },
  { $id: 'IssuedSession' },
)

export const RotatedSession = Type.Object(
  {
    token: Type.String({
      description: 'To be used from now on. Write it to the secure storage of the device before you use it.',
    }),
    session: Type.Ref('Session'),
  },
  { $id: 'RotatedSession' },
)

export const SessionList = Type.Object(
  {
    sessions: Type.Array(Type.Ref('Session')),
    next: Type.Optional(Type.String({ description: 'There are more: ask again with `?after=` this.' })),
  },
  { $id: 'SessionList' },
)

export const Problem = Type.Object(
  {
    type: Type.String({ examples: ['urn:hufu:problem:session_replaced'] }),
    title: Type.String({ description: 'For people, in the language of Accept-Language (zh-CN or en).' }),
    status: Type.Integer(),
    detail: Type.Optional(
      Type.String({
        description: 'What happened this time, for people: 您的账号于 10:32 在 iPhone 15 登录。',
      }),
    ),
    code: Type.Enum([...errorCodes], {
      type: 'string',
      description: 'For programs. docs/errors.md tells what each one means.',
    }),
    request_id: Type.Optional(
      Type.String({ description: 'As in X-Request-Id; absent where the request could not be read.' }),
    ),
    fields: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'JSON pointer (RFC 6901) into the body.' }),
          problem: Type.String({ examples: ['is_missing'] }),
          allowed: Type.Optional(
            Type.Array(Type.String(), {
              description: 'The values that the field may have; at most 20, then `…`.',
            }),
          ),
        }),
      ),
    ),
    rule: Type.Optional(Type.String({ description: 'Which rule a refused password breaks.' })),
    ended_at: Type.Optional(time('When the session ended.')),
    ended_by: Type.Optional(
      Type.Object(
        { platform: Platform, device_name: nullable(Type.String()) },
        { description: 'The device that ended the session.' },
      ),
    ),
    banned_until: Type.Optional(nullable(time(), 'End of the ban; null: none is set.')),
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457).' },
)

export const sharedSchemas = [
  NewCode,
  SentCode,
  NewSession,
  Account,
  AccountDetails,
  AccountChange,
  NewPassword,
  PasswordReset,
  NewPhone,
  Closing,
  ClosingAccount,
  AccountExport,
  Session,
  SignedIn,
  IssuedSession,
  RotatedSession,
  SessionList,
  Problem,
]

/** The problem answer of a route, with the codes that it can carry. Their examples stand in openapi-examples.ts. */
export function problem(...codes: string[]) {
  const examples = codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])
  return {
    description: codes.join(', '),
    content: {
      'application/problem+json': { schema: Type.Ref('Problem'), examples: Object.fromEntries(examples) },
    },
  }
}
