// A server that dies although no test ended it is reported, because later failures of other tests may follow
// from it.
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { type ServerProcess, startServer } from './processes.ts'

let printed: MockInstance<typeof console.error>
let folder: string

beforeEach(() => {
  printed = vi.spyOn(console, 'error').mockImplementation(() => {})
  folder = createFolder('processes')
})
afterEach(() => {
  printed.mockRestore()
  removeFolder(folder)
})

/** A server that writes a line on request, and ends with a code on request. */
const program = `require('node:net').createServer((socket) => socket.on('data', (code) => {
  console.error('InnoDB: no room left')
  process.exit(Number(code))
})).listen(Number(process.argv[1]), '127.0.0.1')`

async function start(): Promise<{ server: ServerProcess; port: number }> {
  const port = await freePort()
  const args = ['-e', program, String(port)]
  const command = { file: process.execPath, args, folder, owner: null }
  const server = await startServer(command, async () => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  })
  return { server, port }
}

const text = () => printed.mock.calls.flat().join('\n')

test('a server that ends by itself is reported with its exit code and the end of its output', async () => {
  const { server, port } = await start()
  connect(port, '127.0.0.1').end('7')
  await vi.waitFor(() => expect(printed).toHaveBeenCalled(), 10_000)
  expect(text()).toContain(`(pid ${server.pid}) ended with exit code 7, and no test ended it`)
  expect(text()).toMatch(/\d+ of \d+ MB of memory are free/)
  expect(text()).toContain('InnoDB: no room left')
})

test('one that another program killed is reported with the signal, also where its folder is gone', async () => {
  const { server } = await start()
  removeFolder(folder)
  process.kill(server.pid, 'SIGKILL')
  await vi.waitFor(() => expect(printed).toHaveBeenCalled(), 10_000)
  expect(text()).toContain(`(pid ${server.pid}) ended by SIGKILL, and no test ended it`)
  expect(text()).toContain('there is none: Error: ENOENT')
})

test('one that a test ends is not reported', async () => {
  for (const end of [
    (server: ServerProcess) => server.stop(),
    (server: ServerProcess) => server.kill('SIGKILL'),
    (server: ServerProcess) => server.kill('SIGTERM'),
  ]) {
    const { server } = await start()
    await server.kill('SIGSTOP')
    await server.kill('SIGCONT')
    await end(server)
  }
  expect(printed).not.toHaveBeenCalled()
})
