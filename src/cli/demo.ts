// hufu demo: the tutorial's walkthrough against a running server, with a description of each step.
import { openServices } from '../app.ts'
import { AppError } from '../errors.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { exitCodes, UsageError } from './output.ts'
import { withServices } from './with-services.ts'

const phone = '12345678901'
const password = '123456'
const nickname = '测试用户1'

interface Answer {
  readonly code: number
  readonly message?: string
  readonly token?: string
  readonly nickname?: string | null
  readonly phone_number?: string
}

/** `demo`: each step prints what it sends, what it receives, and whether that is what the tutorial shows. */
export async function demo(context: Context, options: { url?: string }): Promise<number> {
  const { server } = context.settings
  const host = server.host === '0.0.0.0' || server.host === '::' ? '127.0.0.1' : server.host
  const walk = new Walk(context, options.url ?? `http://${host}:${server.port}`)
  await walk.assertServerRuns()
  await walk.makeAccount()
  await walk.signInWrong()
  const token = await walk.signIn()
  await walk.whoAmI(token)
  await walk.lookInside(token)
  await walk.signOut(token)
  return walk.end()
}

class Walk {
  readonly #context: Context
  readonly #url: string
  #step = 0
  #surprises = 0

  constructor(context: Context, url: string) {
    this.#context = context
    this.#url = url.replace(/\/$/, '')
  }

  async assertServerRuns(): Promise<void> {
    const { say } = this.#words()
    const called = calledAs(import.meta.url)
    const example = called.demo('--url http://127.0.0.1:5002')
    if (!/^https?:\/\//i.test(this.#url))
      throw new UsageError(
        say(
          `--url 必须以 http:// 或 https:// 开头（现在是“${this.#url}”），例如：${example}`,
          `--url must begin with http:// or https:// (it is "${this.#url}"), for example: ${example}`,
        ),
      )
    const alive = await fetch(`${this.#url}/livez`).catch(() => null)
    if (alive?.ok) return
    throw new UsageError(
      say(
        `${this.#url} 上没有 Hufu：请先在另一个终端运行 ${called.serve}；服务在别处时，请写明地址，例如：${example}`,
        `No Hufu answers at ${this.#url}: run "${called.serve}" in another terminal first; if the server is elsewhere, say where, for example: ${example}`,
      ),
    )
  }

  async makeAccount(): Promise<void> {
    const { say } = this.#words()
    this.#title(say('创建账号', 'Create the account'))
    this.#sends(`hufu accounts add ${phone} --nickname ${nickname} --allow-weak-password`)
    try {
      await withServices(this.#context, ({ accounts }) =>
        accounts.create({ phoneNumber: phone, nickname, password, allowWeakPassword: true }),
      )
      this.#receives(say('已创建', 'created'))
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'phone_number_taken')) throw error
      this.#receives(say('已有这个账号，继续', 'the account exists already'))
    }
  }

  async signInWrong(): Promise<void> {
    this.#title(this.#words().say('用错误的密码登录', 'Sign in with a wrong password'))
    const answer = await this.#login('1234567')
    this.#expect(answer.code === 0 && answer.message === '密码错误')
  }

  async signIn(): Promise<string> {
    this.#title(this.#words().say('用正确的密码登录', 'Sign in with the right password'))
    const answer = await this.#login(password)
    this.#expect(answer.code === 1 && answer.message === '成功登录' && answer.nickname === nickname)
    if (answer.token) return answer.token
    throw new UsageError(
      answer.message === '没有此用户'
        ? this.#words().say(
            '登录失败：账号建在 HUFU_DATABASE_URL 的数据库里，但服务用的是另一个数据库。请在服务启动的文件夹里、用同样的设置运行 demo。',
            'Signing in failed: the account is in the database of HUFU_DATABASE_URL, and the server uses another one. Run demo in the folder where the server was started, with the same settings.',
          )
        : this.#words().say(
            `登录失败：账号 ${phone} 的密码不是 ${password}。请换一个数据库再试，例如 HUFU_DATABASE_URL=sqlite:./demo.db（服务也要用它启动）。`,
            `Signing in failed: the password of ${phone} is not ${password}. Use another database, for example HUFU_DATABASE_URL=sqlite:./demo.db (start the server with it too).`,
          ),
    )
  }

  async whoAmI(token: string): Promise<void> {
    this.#title(this.#words().say('我是谁', 'Who am I'))
    const answer = await this.#get('/user', token)
    this.#expect(answer.code === 1 && answer.phone_number === phone && answer.nickname === nickname)
  }

  /**
   * The tutorial looks into Redis here. Redis and the database hold the same values; neither holds a usable
   * token.
   */
  async lookInside(token: string): Promise<void> {
    const { say } = this.#words()
    const { settings } = this.#context
    this.#title(say('看看服务器保存了什么', 'What the server stores'))
    const services = await openServices(settings)
    try {
      const id = token.slice(3, 25)
      const account = await services.accounts.get(phone)
      const live = await services.sessions.list(account.id)
      this.#receives(
        `SQL    sessions: ${live.map((session) => session.id).join(', ')}  app_online: ${live.length > 0}`,
      )
      this.#expect(live.some((session) => session.id === id))
      if (settings.redis.url === null) {
        this.#receives(say('Redis  未使用：HUFU_REDIS_URL 为空', 'Redis  not used: HUFU_REDIS_URL is empty'))
        return
      }
      const { keyOf } = await import('../session-cache/redis-client.ts')
      // The bytes in Redis are for programs (session-codec.ts), so this prints their decoded values.
      this.#receives(`Redis  ${keyOf(id)}  ${JSON.stringify((await services.cache.session(id)).value)}`)
    } finally {
      await services.close()
    }
  }

  async signOut(token: string): Promise<void> {
    const { say } = this.#words()
    this.#title(say('退出登录', 'Sign out'))
    const answer = await this.#get('/logout', token)
    this.#expect(answer.code === 1 && answer.message === '成功注销')
    this.#title(say('令牌已失效', 'The token is dead'))
    const dead = await this.#get('/user', token)
    this.#expect(dead.code === 2 && dead.message === '验证信息错误')
  }

  end(): number {
    const { say, output } = this.#words()
    const good = this.#surprises === 0
    const text = good
      ? say('全部与教程一致。', 'Everything is as in the tutorial.')
      : say(`${this.#surprises} 处与教程不同。`, `${this.#surprises} things are not as in the tutorial.`)
    output.line(`\n${output.style(good ? 'green' : 'red', text)}`)
    return good ? exitCodes.done : exitCodes.refused
  }

  #words() {
    const { output } = this.#context
    return { output, say: output.say.bind(output) }
  }

  #title(text: string): void {
    const { output } = this.#words()
    this.#step++
    output.line(`\n${output.style('bold', `${this.#step}. ${text}`)}`)
  }

  #sends(text: string): void {
    const { output } = this.#words()
    output.line(`  ${output.style('cyan', '→')} ${text}`)
  }

  #receives(text: string): void {
    const { output } = this.#words()
    output.line(`  ${output.style('yellow', '←')} ${text}`)
  }

  #expect(isAsInTutorial: boolean): void {
    const { output, say } = this.#words()
    if (!isAsInTutorial) this.#surprises++
    output.line(
      isAsInTutorial
        ? `  ${output.style('green', '✓')}`
        : `  ${output.style('red', say('✗ 与教程不同', '✗ not as in the tutorial'))}`,
    )
  }

  async #login(withPassword: string): Promise<Answer> {
    const body = JSON.stringify({ phone_number: phone, password: withPassword })
    this.#sends(`POST /login ${body}`)
    return await this.#ask('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
  }

  async #get(path: string, token: string): Promise<Answer> {
    this.#sends(`GET ${path}   token: ${token.slice(0, 12)}…`)
    return await this.#ask(path, { headers: { token } })
  }

  async #ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(this.#url + path, init)
    const text = await response.text()
    this.#receives(`${response.status} ${text.replace(/(hf_.{9})[\w-]+/, '$1…')}`)
    if (!response.headers.get('content-type')?.includes('json')) {
      throw new UsageError(
        this.#words().say(
          `${this.#url} 上的不是 Hufu：请检查 --url，例如 --url http://127.0.0.1:5001。`,
          `What answers at ${this.#url} is not Hufu: check --url, for example --url http://127.0.0.1:5001.`,
        ),
      )
    }
    // The steps check each field before they use it.
    return JSON.parse(text) as Answer
  }
}
