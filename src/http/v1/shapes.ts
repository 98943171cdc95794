// Fields that several bodies and responses of the v1 API share. Validation, OpenAPI and the SDK's types all
// come from these schemas.
import { type TSchema, Type } from 'typebox'
import { passwordMax } from '../../passwords/password.ts'
import { platforms } from '../../sessions/platform.ts'
import { plainText } from '../../typed-text.ts'
import { printableAscii, sixDigits } from '../patterns.ts'

export const nullable = <T extends TSchema>(schema: T, description?: string) =>
  Type.Union([schema, Type.Null()], description === undefined ? {} : { description })
export const time = (description?: string) =>
  Type.String({ format: 'date-time', ...(description !== undefined && { description }) })

const appPlatforms = platforms.filter((platform) => platform !== 'classic')

const AppPlatform = Type.Enum(appPlatforms, { type: 'string', description: 'The platform of the app.' })
export const Platform = Type.Enum([...platforms], { type: 'string' })

/** The longest texts about a device, in code points. */
export const deviceLengths = { id: 128, name: 64, appVersion: 32 } as const

export const NewDevice = Type.Object(
  {
    platform: Type.Optional(AppPlatform),
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: deviceLengths.id,
        pattern: printableAscii,
        description: 'An id that stays the same on this device.',
      }),
    ),
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: deviceLengths.name,
        pattern: plainText,
        examples: ['iPhone 15'],
      }),
    ),
    app_version: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: deviceLengths.appVersion,
        pattern: plainText,
        examples: ['2.1.0'],
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'The device that signs in. Users see it in their list of devices.',
  },
)

export const PhoneNumber = Type.String({
  minLength: 1,
  maxLength: 64,
  description:
    'With + and country code, or as it is dialled in the default region. Spaces, hyphens, brackets, full-width digits and invisible characters do not matter.',
  examples: ['12345678901'],
})
export const Password = Type.String({ minLength: 1, maxLength: passwordMax, examples: ['123456'] })

export const Code = Type.String({
  maxLength: 64,
  pattern: sixDigits,
  description: 'The six digits of the message. Spaces and full-width digits do not matter.',
  examples: ['123456'],
})
export const Nickname = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: plainText,
  examples: ['测试用户1'],
})

export const DeviceProof = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: printableAscii,
  description:
    'The `device_proof` that an earlier sign-in on this installation returned. While attackers try this number, requests with it are not held up. An invalid one is ignored.',
})
