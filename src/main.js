// The entry point of a checkout, for its npm scripts. JavaScript, because an old Node cannot load main.ts.
import { AsyncLocalStorage } from 'node:async_hooks'
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'

// As in main.ts, because its import is awaited.
new AsyncLocalStorage().run(null, () => {})

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  // npm prints pages of EBADENGINE warnings, so this message is one line in each language.
  const is = process.versions.node
  process.stderr.write(
    `Hufu needs Node.js 24 or newer; this is ${is}. Run "npm ci" without --omit=dev, which brings the right one for "npm start", or install it from https://nodejs.org.\n` +
      `Hufu 需要 Node.js 24 或更新的版本，现在是 ${is}。请运行不带 --omit=dev 的 npm ci，它会为 npm start 带来合适的版本；或从 https://nodejs.org 安装。\n`,
  )
  process.exit(2)
}
// The cache has TypeScript as JavaScript, so from the second start on Node does not load its compiler.
nodeModule.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/hufu', import.meta.url)))
await import('./main.ts')
