// No copies: every check asks the truth. For an embedded database a local read takes microseconds.
import { type Copies, type Found, type Mark, nothingFound } from './copies.ts'

const noMark: Mark = { id: 'none', sessionIds: [] }

export class NoCopies implements Copies {
  refresh(): void {}

  session(): Found {
    return nothingFound
  }

  believes(): boolean {
    return false
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

  state(): 'ok' {
    return 'ok'
  }

  async close(): Promise<void> {}
}
