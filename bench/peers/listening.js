// The parts of Hufu's server that each peer imitates: it prints where it listens (test/support/app.ts reads
// it), and SIGTERM ends it.

/** @param {string} name @param {import('node:http').Server} server a server that is already listening */
export function sayWhereAndStop(name, server) {
  const { port } = server.address()
  process.stderr.write(`Hufu 虎符 ${name}  http://127.0.0.1:${port}\n`)
  process.once('SIGTERM', () => {
    server.closeAllConnections()
    server.close(() => process.exit(0))
  })
}
