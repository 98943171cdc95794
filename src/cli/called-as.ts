// How a person calls this program's commands: a checkout has npm scripts, an installed package has the command `hufu`.

export interface CalledAs {
  readonly command: string
  readonly serve: string
  readonly demo: (options: string) => string
}

/** @param url of a file of this program */
export function calledAs(url: string): CalledAs {
  if (!url.includes('/node_modules/'))
    return {
      command: 'npm run -s hufu --',
      serve: 'npm start',
      demo: (options) => `npm run demo${options === '' ? '' : ` -- ${options}`}`,
    }
  return {
    command: 'npx hufu',
    serve: 'npx hufu serve',
    demo: (options) => `npx hufu demo ${options}`.trim(),
  }
}
