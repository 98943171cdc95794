// Times in responses and in the output of commands.

/** Milliseconds since 1970 as ISO 8601 UTC, or null. */
export function isoTime(ms: number): string
export function isoTime(ms: number | null): string | null
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
