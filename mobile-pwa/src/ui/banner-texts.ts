/** Texts of the lines above a screen in English. They come with them. */
export const bannerTexts = {
  'update.ready': 'New version ready.',
  'update.use': 'Use it now',
  'update.later': 'Later',
  'storage.full': 'This phone is full: new values are shown, but not kept. Free some space.',
  'storage.fullWaiting':
    'This phone is full: what waits to be sent is lost if the app closes before. Keep it open, or free some space.',
} as const;
