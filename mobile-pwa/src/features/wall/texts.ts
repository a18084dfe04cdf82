/** Texts of the wall in English. They come with it. */
export const wallTexts = {
  'wall.title': 'Wall',
  'wall.start': 'Start: screen and sound on',
  'wall.startAbout': 'One tap is needed after each start of this phone, so that it may ring.',
  'wall.awake': 'Screen stays on',
  'wall.notAwake': 'Screen may go dark: set its time in the phone’s settings to never',
  'wall.sound': 'Sound on',
  'wall.leave': 'Leave the wall',
  'wall.seen': 'Seen',
  'wall.seenWait': 'Seen, waiting to send',
  'wall.by': 'Nobody has seen it.',
  'wall.bySeen': 'Seen by {name}.',
  'wall.others': '{n, plural, one {# more alert} other {# more alerts}}',
  'wall.power.powered': 'Power is on.',
  'wall.power.partly': 'Power is partly on.',
  'wall.power.off': 'Power is off.',
  'wall.power.unknown': 'Whether there is power is not known.',
} as const;
