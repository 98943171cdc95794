// The sign-in methods in the body of `POST /v1/sessions`: their fields, their examples, and how a credential
// is read from them.
import { type Static, Type } from 'typebox'
import type { MethodName, SignInCredentials } from '../../authentication/methods/methods.ts'
import { code, device, mobile, password, phone_number } from './samples.ts'
import { Code, Nickname, Password, PhoneNumber } from './shapes.ts'

/** Exactly one field that is named like a method must be in the body. */
export const signInFields = {
  phone_number: PhoneNumber,
  password: Type.Optional(Password),
  code: Type.Optional(Code),
  nickname: Type.Optional(
    Type.Unsafe<string>({ ...Nickname, description: 'For an account that this sign-in creates.' }),
  ),
}

export const signInExamples = {
  'With a code': { phone_number: mobile, code, nickname: '测试用户1', device },
  'With a password': { phone_number, password, device },
}

const Fields = Type.Object(signInFields)

/** Each method's credential, from the value of its field and the other fields. */
export const readCredential: {
  readonly [Name in MethodName]: (value: string, fields: Static<typeof Fields>) => SignInCredentials[Name]
} = {
  password: (value, { phone_number }) => ({ phoneNumber: phone_number, password: value }),
  code: (value, { phone_number, nickname = null }) => ({ phoneNumber: phone_number, code: value, nickname }),
}

// The keys are the names of the methods, as the type says.
export const methodNames = Object.keys(readCredential) as readonly MethodName[]
