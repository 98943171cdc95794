// What each peer does as Hufu's own server does: it says where it listens (test/support/app.ts reads it), and
// SIGTERM ends it.

/** @param {string} name @param {import('node:http').Server} server that listens already */
export function sayWhereAndStop(name, server) {
  const { port } = server.address()
  process.stderr.write(`Hufu 虎符 ${name}  http://127.0.0.1:${port}\n`)
  process.once('SIGTERM', () => {
    server.closeAllConnections()
    server.close(() => process.exit(0))
  })
}
