// Mistakes at the command line.
import { freePort } from '../../support/services/ports.ts'
import { command, type Mistake, secret } from './mistake.ts'

const hufu = 'npm run -s hufu --'
const all = 'serve | migrate | purge | accounts | events | sessions | keys | sms | doctor | demo'
const add = (...more: string[]) => ['accounts', 'add', ...more]

/** Commands with typing errors, or at the wrong time. */
export const callMistakes: readonly Mistake[] = [
  {
    mistake: 'hufu account list: a command that does not exist',
    make: command(['account', 'list']),
    en: `There is no command "account"; did you mean accounts?\nUsage: ${hufu} ${all}`,
    zh: `没有 account 这个命令，是否应为 accounts？\n用法：${hufu} ${all}`,
    wrong: 'account',
    instead: 'accounts',
  },
  {
    mistake: 'hufu accounts remove: a command below one',
    make: command(['accounts', 'remove', '13800005223']),
    en: `There is no command "remove"\nUsage: ${hufu} accounts add | list | show | ban | unban | unlock`,
    zh: `没有 remove 这个命令\n用法：${hufu} accounts add | list | show | ban | unban | unlock`,
    wrong: 'remove',
    instead: `${hufu} accounts add | list`,
  },
  {
    mistake: 'hufu serve --port 8080: a setting as an option',
    make: command(['serve', '--port', '8080']),
    en: `There is no option "--port" here; port, database and so on are settings, for example HUFU_PORT=5002, see docs/settings.md\nUsage: ${hufu} serve [options]`,
    zh: `没有 --port 这个选项；端口、数据库等是设置，例如 HUFU_PORT=5002，见 docs/settings.zh-CN.md\n用法：${hufu} serve [options]`,
    wrong: '--port',
    instead: 'HUFU_PORT=5002',
  },
  {
    mistake: 'an option that is misspelt',
    make: command(add('13800005224', '--pasword-stdin'), { stdin: secret }),
    en: `There is no option "--pasword-stdin" here; did you mean --password-stdin?\nUsage: ${hufu} accounts add [options] <phone>`,
    zh: `没有 --pasword-stdin 这个选项，是否应为 --password-stdin？\n用法：${hufu} accounts add [options] <phone>`,
    wrong: '--pasword-stdin',
    instead: '--password-stdin',
  },
  {
    mistake: 'accounts add without a number',
    make: command(add()),
    en: `The argument <phone> is missing\nUsage: ${hufu} accounts add [options] <phone>`,
    zh: `缺少参数 <phone>\n用法：${hufu} accounts add [options] <phone>`,
    wrong: '<phone>',
    instead: `${hufu} accounts add [options] <phone>`,
  },
  {
    mistake: 'a nickname with a space and no quotes',
    make: command(add('13800005224', '--nickname', 'Li', 'Lei', '--password-stdin'), { stdin: secret }),
    en: `There are too many arguments: put quotes around a value with spaces; write ${hufu} before the options, or npm takes them\nUsage: ${hufu} accounts add [options] <phone>`,
    zh: `参数太多：含空格的值请加引号；请写 ${hufu} 再写选项，否则选项会被 npm 取走\n用法：${hufu} accounts add [options] <phone>`,
    wrong: `${hufu} accounts add`,
    instead: { en: 'put quotes around', 'zh-CN': '请加引号' },
  },
  {
    mistake: 'npm start --port 5002: npm takes the option, and the program gets its value',
    make: command(['serve', '5002']),
    en: `There are too many arguments: put quotes around a value with spaces; port, database and so on are settings, for example HUFU_PORT=5002, see docs/settings.md\nUsage: ${hufu} serve [options]`,
    zh: `参数太多：含空格的值请加引号；端口、数据库等是设置，例如 HUFU_PORT=5002，见 docs/settings.zh-CN.md\n用法：${hufu} serve [options]`,
    wrong: `${hufu} serve`,
    instead: 'HUFU_PORT=5002',
  },
  {
    mistake: 'accounts ban --until tomorrow',
    make: command(['accounts', 'ban', '13800005223', '--until', 'tomorrow']),
    en: '--until must be a day or a moment to come, for example 2027-01-31 or 2027-01-31T12:00:00+08:00 (it is "tomorrow").',
    zh: '--until 必须是将来的日期或时间，例如 2027-01-31 或 2027-01-31T12:00:00+08:00（现在是“tomorrow”）。',
    wrong: 'tomorrow',
    instead: '2027-01-31',
  },
  {
    mistake: 'demo without a server',
    make: async (surroundings, language) => {
      const environment = { HUFU_PORT: String(await freePort()) }
      return await command(['demo'], { environment })(surroundings, language)
    },
    en: 'No Hufu answers at http://127.0.0.1:…: run "npm start" in another terminal first; if the server is elsewhere, say where, for example: npm run demo -- --url http://127.0.0.1:5002',
    zh: 'http://127.0.0.1:… 上没有 Hufu：请先在另一个终端运行 npm start；服务在别处时，请写明地址，例如：npm run demo -- --url http://127.0.0.1:5002',
    wrong: 'http://127.0.0.1:',
    instead: 'npm start',
  },
  {
    mistake: 'demo with an address without http://',
    make: command(['demo', '--url', 'localhost:5001']),
    en: '--url must begin with http:// or https:// (it is "localhost:5001"), for example: npm run demo -- --url http://127.0.0.1:5002',
    zh: '--url 必须以 http:// 或 https:// 开头（现在是“localhost:5001”），例如：npm run demo -- --url http://127.0.0.1:5002',
    wrong: 'localhost:5001',
    instead: '--url http://127.0.0.1:5002',
  },
  {
    mistake: 'demo in another folder than the server, and so on another database',
    make: async (surroundings, language) => {
      const environment = { HUFU_DATABASE_URL: 'sqlite:./another.db' }
      return await command(['demo', '--url', surroundings.server.url], { environment })(
        surroundings,
        language,
      )
    },
    en: 'Signing in failed: the account is in the database of HUFU_DATABASE_URL, and the server uses another one. Run demo in the folder where the server was started, with the same settings.',
    zh: '登录失败：账号建在 HUFU_DATABASE_URL 的数据库里，但服务用的是另一个数据库。请在服务启动的文件夹里、用同样的设置运行 demo。',
    wrong: 'HUFU_DATABASE_URL',
    instead: 'demo',
  },
]

/** Refusals of accounts and sessions. */
export const accountMistakes: readonly Mistake[] = [
  {
    mistake: 'accounts add with a number of another plan',
    make: command(add('07400123456', '--password-stdin'), { stdin: `${secret} and more` }),
    en: 'Enter a valid phone number ("07400123456"). This is not a mobile number of China (is it a landline, or are digits missing?). Use a mobile number; for another country write + and its code, for example +44 7400 123456.',
    zh: '手机号格式错误（“07400123456”）：这不是中国的手机号（是座机号，或者位数有误？）。请使用手机号；其他国家或地区的号码请写上 + 和国家代码，例如 +44 7400 123456。',
    wrong: '07400123456',
    instead: '+44 7400 123456',
  },
  {
    mistake: 'accounts add with a short password',
    make: command(add('13800005224', '--password-stdin'), { stdin: secret }),
    en: 'The password is too short: use at least 8 characters (for a demo, add --allow-weak-password)',
    zh: '密码太短，至少 8 个字符（演示可加 --allow-weak-password）',
    wrong: null,
    instead: { en: 'at least 8 characters', 'zh-CN': '至少 8 个字符' },
  },
  {
    mistake: 'accounts add with a common password',
    make: command(add('13800005224', '--password-stdin'), { stdin: 'password1' }),
    en: 'The password is a common one and easy to guess: choose another one (for a demo, add --allow-weak-password)',
    zh: '密码太常见，很容易被猜到，请换一个（演示可加 --allow-weak-password）',
    wrong: null,
    instead: '--allow-weak-password',
  },
  {
    mistake: 'accounts add in a script, with the password nowhere',
    make: command(add('13800005224')),
    en: `There is no terminal to ask for a password; use: echo "$PASSWORD" | ${hufu} accounts add 13800005224 --password-stdin`,
    zh: `没有终端可以询问密码，请用：echo "$PASSWORD" | ${hufu} accounts add 13800005224 --password-stdin`,
    wrong: '13800005224',
    instead: '--password-stdin',
  },
  {
    mistake: 'accounts add --password-stdin with a variable that is not set',
    make: command(add('13800005224', '--password-stdin'), { stdin: '\n' }),
    en: `The password must not be empty, and there is nothing on standard input; use: echo "$PASSWORD" | ${hufu} accounts add 13800005224 --password-stdin`,
    zh: `密码不能为空，但标准输入里没有内容，请用：echo "$PASSWORD" | ${hufu} accounts add 13800005224 --password-stdin`,
    wrong: '13800005224',
    instead: 'echo "$PASSWORD" |',
  },
  {
    mistake: 'accounts add a second time',
    make: command(add('13800005223', '--password-stdin'), { stdin: `${secret} and more` }),
    en: `13800005223 has an account already. To see it: ${hufu} accounts show 13800005223`,
    zh: `13800005223 已有账号；查看：${hufu} accounts show 13800005223`,
    wrong: '13800005223',
    instead: 'accounts show 13800005223',
  },
  {
    mistake: 'accounts show with a number that has no account',
    make: command(['accounts', 'show', '13800005225']),
    en: `There is no account with the number 13800005225. Check the number; all accounts: ${hufu} accounts list`,
    zh: `没有 13800005225 这个账号：请检查号码；全部账号：${hufu} accounts list`,
    wrong: '13800005225',
    instead: 'accounts list',
  },
  {
    mistake: 'sessions end with a phone number',
    make: command(['sessions', 'end', '13800005223']),
    en: `There is no session with the id 13800005223. To see ids: ${hufu} sessions list <phone>; to end all sessions of an account: ${hufu} sessions end --all <phone>`,
    zh: `没有 id 为 13800005223 的会话。查看 id：${hufu} sessions list <手机号>；结束一个账号的全部会话：${hufu} sessions end --all <手机号>`,
    wrong: '13800005223',
    instead: 'sessions end --all',
  },
]
