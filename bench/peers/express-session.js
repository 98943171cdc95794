// A peer of the bench: Express with express-session and connect-redis, configured as their READMEs recommend.
// JavaScript, because the types are not installed when the project is checked.
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createClient } from 'redis'
import { sayWhereAndStop } from './listening.js'

const client = await createClient({ url: process.env.PEER_REDIS_URL }).connect()
const app = express()
app.use(
  session({
    store: new RedisStore({ client, prefix: 'express-session:' }),
    resave: false,
    saveUninitialized: false,
    secret: process.env.PEER_SECRET,
  }),
)

// The README's "user login": a new session against fixation, saved before the response. No password is
// checked.
app.post('/sign-in', express.json(), (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error)
    request.session.account = request.body
    request.session.save((failure) => (failure ? next(failure) : response.sendStatus(204)))
  })
})

app.get('/user', (request, response) => {
  const { account } = request.session
  if (account) response.json({ code: 1, nickname: account.nickname, phone_number: account.phone_number })
  else response.status(401).json({ code: 2, message: '验证信息错误' })
})

const server = app.listen(0, '127.0.0.1', () => sayWhereAndStop('express-session', server))
