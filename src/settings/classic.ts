// Settings of the tutorial's routes.
import { yesOrNo } from './parsers.ts'
import { setting } from './setting.ts'

export const classicSettings = {
  isServed: setting({
    name: 'HUFU_CLASSIC_API',
    default: 'true',
    parse: yesOrNo,
  }),
  tellsUnknownNumber: setting({
    name: 'HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER',
    default: 'true',
    parse: yesOrNo,
  }),
}
