// Two alternative fields of a body.
import { AppError } from '../../errors.ts'

/**
 * Exactly one of two fields of a body.
 * @param where a JSON pointer to the object that has them
 * @throws AppError `invalid_request` where the object has neither field, or both
 */
export function exactlyOneOf<A extends string, B extends string>(
  body: { readonly [Key in A | B]?: string },
  a: A,
  b: B,
  where = '',
): { [Key in A]: string } | { [Key in B]: string } {
  const [first, second] = [body[a], body[b]]
  const refuse = (field: string, other: string, problem: string) => {
    const fault = { pointer: `${where}/${field}`, problem, other: `${where}/${other}` }
    return new AppError('invalid_request', { fields: [fault] })
  }
  if (first !== undefined && second !== undefined) throw refuse(b, a, 'is_not_valid')
  // TypeScript widens a computed property name to `string`.
  if (first !== undefined) return { [a]: first } as { [Key in A]: string }
  if (second !== undefined) return { [b]: second } as { [Key in B]: string }
  throw refuse(a, b, 'is_missing')
}
