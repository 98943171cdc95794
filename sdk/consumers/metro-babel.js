// The transformation of modules by React Native's Babel preset, and nothing else of it.
const { transformSync } = require('@babel/core')

exports.transform = ({ src, filename }) => {
  const plugins = [require.resolve('@babel/plugin-transform-modules-commonjs')]
  const { ast, metadata } = transformSync(src, {
    ast: true,
    babelrc: false,
    configFile: false,
    filename,
    plugins,
  })
  return { ast, metadata }
}
