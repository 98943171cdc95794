// What `doctor` says of one thing that it looked at.
export interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly text: string
}
