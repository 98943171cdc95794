// Log lines to a file descriptor in blocks: a write costs more than a request, and a slow reader must not
// stop the server.
import { write, writeSync } from 'node:fs'

const blockLength = 32 * 1024
const writeEveryMs = 250
/**
 * A write of at most this many bytes to a pipe is atomic (PIPE_BUF, pipe(7)), so that the lines of several
 * processes stay whole.
 */
const wholeLength = 4096
/** Lines that wait for a reader that has stopped; further ones are dropped and counted. */
const maxWaitingLength = 16 * 1024 * 1024

/** The destination of pino. Lines are written within 250 ms, and all of them at the end of the process. */
export class LineWriter {
  readonly #fd: number
  readonly #isShared: boolean
  #waiting = ''
  #dropped = 0
  #isWriting = false

  /** @param isShared other processes write lines to the same pipe */
  constructor(fd: number, isShared = false) {
    this.#fd = fd
    this.#isShared = isShared
    setInterval(() => this.#writeOn(), writeEveryMs).unref()
    process.once('exit', () => this.writeAll())
  }

  write(line: string): void {
    if (this.#waiting.length > maxWaitingLength) {
      this.#dropped++
      return
    }
    this.#waiting += line
    if (this.#waiting.length >= blockLength) this.#writeOn()
  }

  /** Writes everything now and waits for it: for the last lines of a process. */
  writeAll(): void {
    try {
      let rest = Buffer.from(this.#take())
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, this.#nextOf(rest)))
    } catch {
      // The reader is gone, so the error cannot be reported.
    }
  }

  #take(): string {
    const lines = this.#waiting
    this.#waiting = ''
    if (this.#dropped === 0 || lines === '') return lines
    const note = `${JSON.stringify({ level: 40, time: new Date().toISOString(), dropped: this.#dropped, msg: 'log lines dropped' })}\n`
    this.#dropped = 0
    return lines + note
  }

  #writeOn(): void {
    if (this.#isWriting || this.#waiting === '') return
    this.#isWriting = true
    this.#writeRest(Buffer.from(this.#take()))
  }

  /** The bytes of one write call: of a shared pipe as many whole lines as are atomic, but at least one. */
  #nextOf(rest: Buffer): Buffer {
    if (!this.#isShared || rest.length <= wholeLength) return rest
    const end = rest.lastIndexOf(10, wholeLength - 1)
    return rest.subarray(0, (end >= 0 ? end : rest.indexOf(10)) + 1 || rest.length)
  }

  #writeRest(rest: Buffer): void {
    write(this.#fd, this.#nextOf(rest), (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#writeRest(rest), 50)
        return
      }
      if (!error && written < rest.length) {
        this.#writeRest(rest.subarray(written))
        return
      }
      this.#isWriting = false
      if (this.#waiting.length >= blockLength) this.#writeOn()
    })
  }
}
