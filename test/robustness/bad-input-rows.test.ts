// The 68 kinds of bad input: the test of each, or the reason why it cannot be sent yet.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** A file of test/ or src/ and part of the name of a test in it; or the reason why there is none yet. */
type Shown = readonly (readonly [file: string, name: string])[] | { readonly notYet: string }

const inputs = 'test/robustness/bad-inputs.test.ts'
const requests = 'test/robustness/bad-requests.test.ts'
const connections = 'test/robustness/bad-connections.test.ts'
const noAdmin = { notYet: 'there is no console and no route that an operator signs in to' }
const noList = { notYet: 'no route takes a limit, a sort order, a filter or a cursor' }
const noWebSocket = { notYet: 'there is no WebSocket' }

const rows: readonly (readonly [row: number, what: string, shown: Shown])[] = [
  [
    1,
    'broken JSON',
    [
      [inputs, 'a body that breaks off'],
      [requests, 'of them change no other account'],
    ],
  ],
  [
    2,
    'an empty body, a body where none is taken',
    [
      [inputs, 'an empty body'],
      [inputs, 'a body that nobody asked for'],
    ],
  ],
  [3, 'JSON of another kind', [[inputs, 'as body']]],
  [
    4,
    'a field of another kind',
    [
      [inputs, 'as phone_number'],
      [
        'test/robustness/bad-inputs-v1.test.ts',
        'every invalid body of the API is refused with its error, or harmless',
      ],
    ],
  ],
  [5, 'a key twice', [[inputs, 'an object with a duplicate name']]],
  [
    6,
    'keys of prototypes',
    [
      [inputs, 'a key __proto__ in disguise'],
      [inputs, 'is just text'],
    ],
  ],
  [7, 'fields that only the server sets', [[inputs, 'a field ']]],
  [
    8,
    'depth',
    [
      [inputs, '8000 lists in each other'],
      [inputs, 'deep unknown fields'],
    ],
  ],
  [9, 'a million keys', [[inputs, 'a million keys']]],
  [10, 'huge numbers', [[inputs, 'a number beyond all']]],
  [
    11,
    'a body over the limit',
    [
      [inputs, 'one byte over the limit'],
      [inputs, '10 GB announced, then nothing'],
    ],
  ],
  [
    12,
    'a body longer or shorter than announced',
    [
      [inputs, 'a body longer than announced'],
      [connections, 'after each byte, by an end or by a reset, does nothing'],
    ],
  ],
  [13, 'content types', [[inputs, 'two content types, the second right']]],
  [14, 'content encodings', [[inputs, 'gzip in gzip']]],
  [15, 'what is no UTF-8', [[inputs, 'an overlong slash']]],
  [
    16,
    'characters that nobody sees',
    [
      [inputs, "in a device's name"],
      [requests, 'of them change no other account'],
    ],
  ],
  [17, 'digits of other scripts', [[inputs, 'Arabic-Indic digits']]],
  [18, 'one number in many spellings', [[inputs, 'is the same person']]],
  [19, 'numbers that are none', [[inputs, 'a country that does not exist']]],
  [
    20,
    'a number that compares equal to another',
    [
      [
        'test/api/classic.test.ts',
        'white space around a number is ignored, and a value that is no string is refused',
      ],
    ],
  ],
  [
    21,
    'codes that are none',
    [
      [
        'test/robustness/bad-inputs-v1.test.ts',
        'every invalid body of the API is refused with its error, or harmless',
      ],
      [
        'test/accounts/phone-first.test.ts',
        'after five guesses the right code is refused, and the next message has another one',
      ],
    ],
  ],
  [
    22,
    'a right code for something else',
    [['test/accounts/phone-first.test.ts', 'it is for one purpose and five minutes']],
  ],
  [
    23,
    'ids of challenges',
    { notYet: 'a code is named by its number and purpose: there is no id of a challenge' },
  ],
  [
    24,
    'passwords',
    [
      [inputs, 'a password is compared to its last character'],
      [inputs, 'a password of 10 MB'],
    ],
  ],
  [
    25,
    'names that are markup or templates',
    [[inputs, 'markup and templates in the name of a device are returned unchanged']],
  ],
  [
    26,
    'ids of devices',
    [
      [inputs, "in a device's id is just text"],
      [
        'src/limits/subjects.test.ts',
        'a counter is named by a hash: the number, the address and the device cannot be read in it',
      ],
    ],
  ],
  [
    27,
    'what goes into the log',
    [
      ['test/api/logs.test.ts', 'has no broken line after'],
      ['test/api/logs.test.ts', 'truncates a very long address'],
    ],
  ],
  [
    28,
    'no token',
    [
      [inputs, 'no Authorization'],
      ['test/api/v1.test.ts', 'without a credential, WWW-Authenticate carries no error code'],
    ],
  ],
  [
    29,
    'tokens that are none',
    [
      [inputs, 'two Authorization headers'],
      [inputs, 'a token of 64 KB'],
    ],
  ],
  [30, 'a token in the address', [[inputs, 'a token in the query as']]],
  [
    31,
    'a header and a cookie that differ',
    [
      [inputs, 'a token in a cookie'],
      [inputs, "somebody else's cookie"],
    ],
  ],
  [
    32,
    'forwarded addresses',
    [
      ['test/api/proxies.test.ts', 'is ignored'],
      ['test/api/proxies.test.ts', 'changing the forwarded address does not give more tries'],
    ],
  ],
  [
    33,
    'hosts',
    [
      [inputs, 'no redirect and no link contains the Host header of a request'],
      [inputs, 'no Host'],
    ],
  ],
  [
    34,
    'headers that are none, and too many',
    [
      [inputs, 'a folded header'],
      [inputs, '2001 headers'],
      [inputs, '101 headers'],
    ],
  ],
  [
    35,
    'two lengths for one message',
    [
      [inputs, 'Content-Length and Transfer-Encoding'],
      [inputs, '20 KB behind a chunk size'],
      [connections, 'is refused last, after the answers that take longer'],
    ],
  ],
  [
    36,
    'expectations, upgrades, hop-by-hop headers',
    [
      [inputs, '10 GB announced by a client that waits to be asked'],
      [inputs, 'Authorization named as hop-by-hop'],
      [connections, 'to WebSocket is refused on every route'],
    ],
  ],
  [37, 'ranges, conditions, long preferences', [[inputs, 'Accept-Language of 10 KB']]],
  [38, 'other origins', [[inputs, 'lets a page of another origin in']]],
  [39, 'forms from other sites', noAdmin],
  [40, 'idempotency keys', { notYet: 'no route reads Idempotency-Key' }],
  [41, 'DPoP', { notYet: 'tokens are bearer tokens: no route reads DPoP' }],
  [
    42,
    'paths that are written in another way',
    [
      [inputs, 'an escaped letter in the path of a sign-in'],
      [inputs, 'an absolute URL'],
    ],
  ],
  [43, 'paths to the console', noAdmin],
  [
    44,
    'queries',
    [
      [inputs, 'with two values'],
      [inputs, 'a query of 64 KB'],
    ],
  ],
  [45, 'fields to sort and filter by', noList],
  [46, 'cursors', noList],
  [47, 'ids of sessions', [[inputs, 'unknown, foreign and malformed ids get one and the same 404']]],
  [
    48,
    'methods',
    [
      [inputs, 'HEAD has no effect, not even with a live token'],
      [inputs, 'TRACE /v1/nothing'],
      [inputs, 'CONNECT'],
    ],
  ],
  [
    49,
    'slow clients',
    [
      [connections, 'gets an error, or is disconnected, and no other client waits'],
      [connections, 'a client that reads no answers of $path is disconnected'],
      [connections, 'a client that reads a byte a second is disconnected, and delays no other'],
      [connections, '5,000 idle connections delay no other client'],
    ],
  ],
  [
    50,
    '1,000 requests in one piece',
    [[connections, '1,000 at once, half of them bad, are answered in order, each its own']],
  ],
  [
    51,
    'a storm of wrong passwords',
    [['test/api/v1.test.ts', 'a storm of sign-ins is answered 503 with Retry-After']],
  ],
  [
    52,
    'codes in parallel',
    [
      [
        'test/accounts/phone-first.test.ts',
        'of 64 parallel guesses with the right one among them five are counted and one wins at most',
      ],
    ],
  ],
  [
    53,
    'guesses spread over numbers and addresses',
    [['src/limits/limiter.test.ts', 'stops a caller that varies everything else, and no other caller']],
  ],
  [
    54,
    'registrations of one number in parallel',
    [['test/coherence/races.test.ts', 'of 16 parallel registrations of one number exactly one succeeds']],
  ],
  [
    55,
    'all that can happen to an account at once',
    [
      [
        'test/coherence/races.test.ts',
        'a session ended on one server is refused on the other once the answer arrives',
      ],
      [
        'test/coherence/cache-model.test.ts',
        'with all rules, no check is answered with a state from before an end',
      ],
    ],
  ],
  [
    56,
    'a sign-in whose answer is lost',
    [[connections, 'a sign-in whose answer no client read is a session in the list']],
  ],
  [
    57,
    'bad handshakes',
    [[connections, 'is refused just so, and what is pipelined behind it is not waited for']],
  ],
  [58, 'tokens in a WebSocket', noWebSocket],
  [59, 'bad frames', [[connections, 'frames after a handshake have no effect']]],
  [60, 'messages without an end', noWebSocket],
  [61, 'bad messages', noWebSocket],
  [62, 'a socket that outlives its session', noWebSocket],
  [63, 'a hundred sockets', noWebSocket],
  [64, 'a socket that never reads', noWebSocket],
  [
    65,
    'bad entries in Redis',
    [['test/coherence/outages.test.ts', 'a value that is no entry, or that of another session']],
  ],
  [
    66,
    'rows changed by hand',
    [['test/api/classic.test.ts', 'sign an account out whose sessions another tool left behind']],
  ],
  [
    67,
    'gateways that answer badly',
    [
      ['src/sms/drivers/drivers.test.ts', 'has perhaps sent, and is asked once'],
      ['src/sms/drivers/drivers.test.ts', 'a redirect is not followed'],
    ],
  ],
  [68, 'wrong settings', [['src/settings/settings.test.ts', 'is refused without printing it']]],
]

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

describe('the 68 kinds of bad input', () => {
  test('are all listed, once each and in order', () => {
    expect(rows.map(([row]) => row)).toEqual(Array.from({ length: 68 }, (_, i) => i + 1))
  })

  test('each has an existing test, or a reason why it cannot be sent yet, which is printed', () => {
    for (const [row, what, shown] of rows) {
      if ('notYet' in shown) {
        expect(shown.notYet, String(row)).not.toBe('')
        console.log(`bad input ${row}, ${what}: not yet, ${shown.notYet}`)
        continue
      }
      expect(shown.length, String(row)).toBeGreaterThan(0)
      for (const [file, name] of shown) expect(read(file), `${row} ${name}`).toContain(name)
    }
  })
})
