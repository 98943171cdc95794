// Bundles app.js with webpack 4, as uni-app with Vue 2 does: node webpack.js <folder of the app> <file to
// write>
const { basename, dirname, resolve } = require('node:path')
const webpack = require('webpack')

const [app, out] = process.argv.slice(2)
const output = { path: dirname(resolve(out)), filename: basename(out), hashFunction: 'sha256' }

webpack({ mode: 'production', context: resolve(app), entry: './app.js', output }, (error, stats) => {
  const failed = error ?? (stats.hasErrors() ? new Error(stats.toString('errors-only')) : null)
  if (failed) throw failed
})
