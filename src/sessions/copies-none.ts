// No copies: every check asks the truth. For an embedded database a local read takes microseconds.
import type { Copies, Found, Mark } from './copies.ts'

const nothing: Found<never> = { value: null, isCurrent: false }
const noMark: Mark = { id: 'none', names: [] }

export class NoCopies implements Copies {
  refresh(): void {}

  session(): Found<never> {
    return nothing
  }

  account(): Found<never> {
    return nothing
  }

  beginRead(): null {
    return null
  }

  async fill(): Promise<void> {}

  async mark(): Promise<Mark> {
    return noMark
  }

  async confirm(): Promise<void> {}

  async settle(): Promise<void> {}

  isReachable(): boolean {
    return true
  }

  async close(): Promise<void> {}
}
