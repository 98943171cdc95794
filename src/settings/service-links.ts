// Variables that Kubernetes creates for a Service named `hufu` or `hufu-…`: they are not settings of Hufu,
// although they begin like them.

/**
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables; each name with the
 * form of its value.
 */
const links: readonly (readonly [name: RegExp, value: RegExp])[] = [
  [/^HUFU(_[A-Z0-9_]+)?_SERVICE_HOST$/, /^[\da-f.:]+$/i],
  [/^HUFU(_[A-Z0-9_]+)?_SERVICE_PORT(_[A-Z0-9_]+)?$/, /^\d{1,5}$/],
  [/^HUFU(_[A-Z0-9_]+)?_PORT(_\d{1,5}_(TCP|UDP|SCTP))?$/, /^(tcp|udp|sctp):\/\/[\da-f.:[\]]+:\d{1,5}$/i],
  [/^HUFU(_[A-Z0-9_]+)?_PORT_\d{1,5}_(TCP|UDP|SCTP)_PROTO$/, /^(tcp|udp|sctp)$/],
  [/^HUFU(_[A-Z0-9_]+)?_PORT_\d{1,5}_(TCP|UDP|SCTP)_PORT$/, /^\d{1,5}$/],
  [/^HUFU(_[A-Z0-9_]+)?_PORT_\d{1,5}_(TCP|UDP|SCTP)_ADDR$/, /^[\da-f.:]+$/i],
]

function isServiceLink(name: string, value: string): boolean {
  return links.some(([names, values]) => names.test(name) && values.test(value))
}

/** An environment without these variables. */
export function withoutServiceLinks(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(environment).filter(([name, value]) => !isServiceLink(name, value ?? '')),
  )
}
