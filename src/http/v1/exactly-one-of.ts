// Alternative fields of a body.
import { AppError } from '../../errors.ts'

/**
 * The only field of a body among these, and its value.
 * @param where a JSON pointer to the object that has them
 * @throws AppError `invalid_request` where the object has none of the fields, or more than one
 */
export function onlyFieldOf<Name extends string>(
  body: { readonly [Key in Name]?: string | undefined },
  names: readonly Name[],
  where = '',
): readonly [name: Name, value: string] {
  const [first = '', second = ''] = names
  const given = names.flatMap((name) => {
    const value = body[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  const [only, another] = given
  if (another) throw refusal(where, { field: another[0], other: only?.[0] ?? '', problem: 'is_not_valid' })
  if (!only) throw refusal(where, { field: first, other: second, problem: 'is_missing' })
  return only
}

/** The same for two fields: an object with the field that was given. */
export function exactlyOneOf<A extends string, B extends string>(
  body: { readonly [Key in A | B]?: string },
  a: A,
  b: B,
  where = '',
): { [Key in A]: string } | { [Key in B]: string } {
  const [name, value] = onlyFieldOf<A | B>(body, [a, b], where)
  // TypeScript widens a computed property name to `string`.
  return { [name]: value } as { [Key in A]: string } | { [Key in B]: string }
}

interface Fault {
  readonly field: string
  readonly other: string
  readonly problem: string
}

function refusal(where: string, { field, other, problem }: Fault): AppError {
  const fault = { pointer: `${where}/${field}`, problem, other: `${where}/${other}` }
  return new AppError('invalid_request', { fields: [fault] })
}
