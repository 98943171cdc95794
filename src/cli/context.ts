// The arguments that every command gets.
import type { Settings } from '../settings/settings.ts'
import type { Output } from './output.ts'

export interface Context {
  readonly settings: Settings
  readonly output: Output
}
