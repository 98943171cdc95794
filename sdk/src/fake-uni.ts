// A `uni.request` for tests: it responds through callbacks, as the platforms do.
import type { RequestOptions, RequestResult } from './transport-request.ts'

export interface FakeUni {
  readonly request: (options: RequestOptions) => { abort(): void }
  readonly asked: RequestOptions[]
  /** The number of aborted requests. */
  aborted: number
}

export function fakeUni(answer: (options: RequestOptions) => RequestResult | 'fails' | 'hangs'): FakeUni {
  const uni: FakeUni = {
    asked: [],
    aborted: 0,
    request: (options) => {
      uni.asked.push(options)
      const result = answer(options)
      queueMicrotask(() => {
        if (result === 'fails') options.fail({ errMsg: 'request:fail ' })
        else if (result !== 'hangs') options.success(result)
      })
      return {
        abort: () => {
          uni.aborted++
          options.fail({ errMsg: 'request:fail abort' })
        },
      }
    },
  }
  return uni
}

/** A platform's result of a response, with its JSON parsed. */
export async function resultOf(response: Response): Promise<RequestResult> {
  const text = await response.text()
  return {
    statusCode: response.status,
    header: Object.fromEntries([...response.headers].map(([name, value]) => [name.toUpperCase(), value])),
    data: text === '' ? '' : JSON.parse(text),
  }
}
