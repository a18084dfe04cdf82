/** Texts of the clock's offer in English. They come with it. */
export const clockTexts = {
  'clock.wrong': 'The gateway does not know the time. It shows {shown}; that is {difference} off this phone’s clock.',
  'clock.set': 'Set it from this phone: {now}',
  'clock.notTaken': 'The gateway did not take this time.',
  'notice.clockUncertain': 'The gateway’s clock is not certain; times may be off.',
} as const;
