/** Texts of screens that ask the server, in English. They come with the first of them. */
export const answerTexts = {
  'answer.offline': 'This needs a connection to the gateway or the cloud. Nothing of it is kept on this phone.',
  'answer.refused': 'The server refused this.',
  'answer.again': 'Try again',
} as const;
