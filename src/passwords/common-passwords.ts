// Passwords that attackers try first: a list, common ones in China, keyboard runs, and the product's name.
import { listed } from './common-passwords-list.ts'

/** Common words in pinyin and digits, and the most frequent entries of Chinese lists of leaked passwords. */
const chinese = `
woaini1314 woaini520 woaini521 woaini123 woaini5201314 woaini1314520 woaiwojia woaizhongguo woaibeijing woaimama
woaibaba woaiziji woaixuexi woshishui woshishei woshinidie woshinima woshizhu woshitiancai woshishabi woyaozhuanqian
iloveyou1314 iloveyou520 iloveyou521 iloveu1314 iloveu520 loveyou1314 love1314 love5201314 aini1314 aini5201314
ainiyiwannian ainizhidaoyongyuan nishizhu nishishui nihaoma123 wodemima wodeshijie wodemingzi mima1234 mima123456
mimamima zhongguo zhonghua zhongguoren beijing2008 guangzhou shenzhen chongqing hangzhou chengdu123 xiaoxiao xiaoming
xiaohong xiaofang xiaolong xiaogang xiaoqiang xiaobai123 baobao123 baobei123 baobeibaobei gongxifacai facaifacai
yiluyouni yilushunfeng yongyuan1314 wangshuai woniuwoniu tiantian tianshi1314 tiankong dongfang shuaige123 meinv123
laopo123 laogong123 laopo520 laogong520 laopo1314 laogong1314 mamababa babamama qinaide123 buzhidao wangjimima
wangjile nicaibudao nicainicai buyaowen5201314 taobao123 weixin123 alipay123 tencent123 tencentqq huawei123 xiaomi123
5201314520 5211314520 1314520520 5201314521 52013145201314 13145201314 1314521521 520520520 521521521 5205201314
5211314521 131420520 1314521520 131452000 5845201314 584131420 7758521521 77585217758521 77585210 7758258258
7758521520 3344520520 33445200 3344521521 1230123012 1472583690 1236987450 159357456 258369147 12341234 123123123
aa123456789 aaa123456 aaa111111 a11111111 abc123456789 abcd123456 qq1234567 qwe123456 w123456789 wang1234 wang123456
zhang123 zhang123456 li123456 liu123456 chen123456 yang123456 zhao123456 huang123 zxc123456 zxc123zxc z12345678
x123456789 1qaz1qaz admin888 admin123456 root1234 root123456 test123456 guest123 user1234 88888888 66668888 88886666
66666666 00000000 99999999 0987654321 987654321 87654321 01234567 0123456789 10101010 12121212 13131313 22221111
11110000 20082008 19491001 20080808 3141592653 2468013579 13579246810 110120119 110119120 120110119 119110120 11001100
`

/** Names and words that people put before or behind a common number. */
const words = `
zhangwei wangwei wangfang liwei lina zhangmin lijing wangjing wangli lijuan zhangjing liuyang wangmin wangyan liyong
zhangyong zhangli wangqiang liqiang wangjun lijun zhangjun liujun wangtao litao zhangtao wangchao lichao zhangchao
wanglei lilei zhanglei liulei wangpeng lipeng zhangpeng wangyang liyang zhangyang zhangyan liyan liuyan wangjie lijie
zhangjie liujie wangming liming zhangming liuming chenchen chenwei chenjie chenli yangyang yanghua liuwei liuna
zhaowei zhaolei huangwei zhouwei zhoujie wuwei xuwei sunwei mawei zhuwei huwei guowei hewei linlin gaowei hanmeimei
xiaoming wang li zhang liu chen yang huang zhao wu zhou xu sun ma zhu hu guo he lin gao luo zheng liang xie song tang
deng han feng cao peng zeng xiao tian dong pan yuan cai jiang yu du ye cheng wei su lv ding ren lu yao shen zhong
woaini woai aini nihao mima baobao baobei laopo laogong qinaide xiaoxiao tiantian shanghai beijing zhongguo china
iloveyou iloveu loveyou love lovely forever password passwd pass admin root test guest user login welcome hello qwerty
qwert qwer qwe asdf asd zxcv zxc qaz qazwsx abc abcd abcde aaa aa qq qqq www wwww zz zzz xx xxx qwq asdasd qweqwe
money dragon monkey sunshine princess super a b c d e f g h i j k l m n o p q r s t u v w x y z
`

/** Numbers with a meaning, or that are easy to type. */
const numbers = `
0 1 00 01 11 12 66 69 88 99 000 007 110 111 112 119 120 123 159 163 168 222 258 321 333 369 444 518 520 521 555 584
666 777 789 888 999 0000 1111 1122 1212 1234 1314 2222 3344 3333 4321 4444 5555 6666 7777 8888 9999 5200 5210 12345
54321 11111 66666 88888 00000 123123 123321 112233 121212 123456 654321 111111 222222 333333 444444 555555 666666
777777 888888 999999 000000 520520 521521 131452 131420 520131 147258 258369 159357 159753 159951 789456 456789 168168
7758521 7758258 1234567 7654321 5201314 5211314 1314520 1314521 1111111 8888888 6666666 12345678 87654321 123456789
987654321 1234567890 0123456789 147258369
`

const leet: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'l',
  i: 'l',
  '3': 'e',
  '4': 'a',
  '@': 'a',
  '5': 's',
  $: 's',
}

const wordsIn = (text: string): string[] => text.trim().split(/\s+/)

/** Runs on a keyboard, a telephone or the alphabet; after its end, each run continues at its beginning. */
const ways = [
  '0123456789',
  '1234567890-=',
  '!@#$%^&*()',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiop',
  'qwertyuiop[]asdfghjkl;zxcvbnm,./',
  'qwertyuiopasdfghjklzxcvbnm',
  'asdfghjkl',
  'zxcvbnm',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/',
  'qazwsxedcrfvtgbyhnujmikolp',
  '1q2w3e4r5t6y7u8i9o0p',
  'q1w2e3r4t5y6u7i8o9p0',
  '1a2b3c4d5e6f7g8h9i0j',
  'a1b2c3d4e5f6g7h8i9j0',
  '147258369',
]

const maxLength = 256
const longestNumber = 10

/** All entries, as people write them: tests show that each of them is refused. */
export function commonPasswords(): readonly string[] {
  return [...wordsIn(listed), ...wordsIn(chinese)]
}

interface Lists {
  readonly entries: ReadonlySet<string>
  readonly numbers: ReadonlySet<string>
  /** Words and numbers. */
  readonly parts: ReadonlySet<string>
  readonly runs: readonly string[]
}

let lists: Lists | null = null

/** Built on first use, because it takes some milliseconds. */
function builtLists(): Lists {
  if (lists !== null) return lists
  const years = Array.from({ length: 91 }, (_, i) => String(1950 + i))
  const allNumbers = [...wordsIn(numbers), ...years]
  lists = {
    entries: new Set(commonPasswords().map(leetless)),
    numbers: new Set(allNumbers.map(leetless)),
    parts: new Set([...wordsIn(words), ...allNumbers].map(leetless)),
    runs: ways.map((way) => leetless(way.repeat(Math.ceil(maxLength / way.length) + 1))),
  }
  return lists
}

/** The product's name, surrounded by any characters but letters. */
const productName = /^\P{L}*(?:hufu|ufuh|虎符|符虎)+\P{L}*$/u

/**
 * Whether attackers try a password first, in any case, in leet and reversed. It only looks up sets, so its
 * time does not depend on the length of the list (NIST SP 800-63B-4, section 3.1.1.2; OWASP ASVS 5.0, 6.1.2
 * and 6.2.4).
 */
export function isCommonPassword(password: string): boolean {
  const text = password.normalize('NFKC').toLowerCase()
  if (new Set(text).size === 1 || productName.test(text)) return true
  const plain = leetless(text)
  const all = builtLists()
  return [plain, [...plain].reverse().join('')].some(
    (way) => all.entries.has(way) || isPartWithNumber(way, all) || all.runs.some((run) => run.includes(way)),
  )
}

/** A common word or number with a common number behind or before it: woaini1314, 123456zhang, 66668888. */
function isPartWithNumber(text: string, { numbers, parts }: Lists): boolean {
  if (parts.has(text)) return true
  for (let length = 1; length <= longestNumber && length < text.length; length++) {
    if (numbers.has(text.slice(-length)) && parts.has(text.slice(0, -length))) return true
    if (numbers.has(text.slice(0, length)) && parts.has(text.slice(length))) return true
  }
  return false
}

/** Maps all leet spellings of a word to one: 0 o, 1 i l, 3 e, 4 @ a, 5 $ s. */
function leetless(text: string): string {
  return text.replace(/[01345@$i]/g, (character) => leet[character] ?? character)
}
