// A peer of the bench: better-auth on MariaDB with Redis as its secondary storage and the bearer plugin, as
// its documents recommend. JavaScript, because its types are not installed when the project is checked.
import { createServer } from 'node:http'
import { redisStorage } from '@better-auth/redis-storage'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { bearer } from 'better-auth/plugins'
import { Redis } from 'ioredis'
import { createPool } from 'mysql2/promise'
import { sayWhereAndStop } from './listening.js'

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const pool = createPool({ uri: process.env.PEER_DATABASE_URL, timezone: 'Z' })
// Its tables use the character set of the database, whose default in MariaDB 10 has no Chinese characters.
await pool.query('ALTER DATABASE CHARACTER SET utf8mb4')

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${server.address().port}`,
  secret: process.env.BETTER_AUTH_SECRET,
  database: pool,
  secondaryStorage: redisStorage({ client: new Redis(process.env.PEER_REDIS_URL) }),
  plugins: [bearer()],
  emailAndPassword: {
    enabled: true,
    // Sign-up is not measured; scrypt would need minutes for thousands of users.
    password: { hash: async (password) => `plain:${password}`, verify: async () => false },
  },
  // All requests come from one address, which the default limit of production would refuse.
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
})
const { runMigrations } = await getMigrations(auth.options)
await runMigrations()
server.on('request', toNodeHandler(auth))
sayWhereAndStop('better-auth', server)
