// Settings of the tutorial's routes.
import { yesOrNo } from './parsers.ts'
import { setting } from './setting.ts'

export const classicSettings = {
  isServed: setting({
    name: 'HUFU_CLASSIC_API',
    default: 'true',
    meaning: "Whether the tutorial's routes (`/`, `/login`, `/user`, `/logout`) are there.",
    parse: yesOrNo,
  }),
  tellsUnknownNumber: setting({
    name: 'HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER',
    default: 'true',
    meaning:
      'Whether classic `/login` tells an unknown number from a wrong password, as the tutorial does. `false` makes both answers the same.',
    parse: yesOrNo,
  }),
}
