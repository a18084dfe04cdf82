/** Texts of the lines above a screen in English. They come with them. */
export const bannerTexts = {
  'update.ready': 'New version ready.',
  'update.use': 'Use it now',
  'update.later': 'Later',
  'storage.full': 'This phone is full: new values are shown, but not kept. Free some space.',
  'storage.fullWaiting': 'This phone is full. Keep the app open until what waits is sent, or free some space.',
} as const;
