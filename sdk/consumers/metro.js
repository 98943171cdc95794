// Bundles app.js with Metro, the bundler of React Native: node metro.js <folder of the app> <file to write>
// [main] With "main" it ignores "exports", as Metro before 0.82 does.
const { resolve } = require('node:path')
const { writeFileSync } = require('node:fs')
const Metro = require('metro')

async function main([app, out, reads = 'exports']) {
  const projectRoot = resolve(app)
  const config = await Metro.loadConfig(
    { cwd: projectRoot, resetCache: true },
    {
      projectRoot,
      watchFolders: [__dirname],
      cacheStores: [],
      maxWorkers: 1,
      reporter: { update() {} },
      resolver: {
        useWatchman: false,
        nodeModulesPaths: [resolve(__dirname, 'node_modules')],
        unstable_enablePackageExports: reads === 'exports',
      },
      transformer: { babelTransformerPath: require.resolve('./metro-babel.js') },
    },
  )
  const { code } = (await Metro.runBuild(config, { entry: 'app.js', dev: false, minify: false })) ?? {}
  writeFileSync(out, code)
}

void main(process.argv.slice(2))
