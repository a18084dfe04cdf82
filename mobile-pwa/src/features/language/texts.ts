/** Texts of the choice of a language in English. They come with it. */
export const languageTexts = {
  'language.title': 'Language',
  'language.failed': 'This language is not on this phone yet, and the server does not answer.',
} as const;
