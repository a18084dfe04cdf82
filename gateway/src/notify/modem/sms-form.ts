/**
 * How a text travels as SMS: in text mode while it is one message of plain letters or of UCS-2, as PDUs where text mode has no
 * way to say it (letters of the GSM alphabet that are not ASCII, several parts). 3GPP TS 23.038, 23.040, 27.005. Pure.
 */

/** The GSM 7-bit default alphabet in the order of its codes (23.038, 6.2.1); the escape stands for itself. */
const basic =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
/** Its extension: two codes each. */
const extension: Readonly<Record<string, number>> = {
  '\f': 0x0a,
  '^': 0x14,
  '{': 0x28,
  '}': 0x29,
  '\\': 0x2f,
  '[': 0x3c,
  '~': 0x3d,
  ']': 0x3e,
  '|': 0x40,
  '€': 0x65,
};
const escape = 0x1b;
const septetsOf: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ...[...basic].map((letter, code): [string, number[]] => [letter, [code]]),
  ...Object.entries(extension).map(([letter, code]): [string, number[]] => [letter, [escape, code]]),
]);

/** Letters that have the same code in ASCII and the GSM alphabet, so that no modem can mistake them. */
const alike = /^[ !"#%&'()*+,\-./0-9:;<=>?A-Za-z]*$/;
/** What looks like a plain letter, and costs more than half of a message when it stays. */
const plainer: readonly (readonly [RegExp, string])[] = [
  [/[\u2018\u2019\u201b\u2032]/g, "'"],
  [/[\u201c\u201d\u201e]/g, '"'],
  [/[\u2010-\u2015]/g, '-'],
  [/\u2026/g, '...'],
  [/ ?°C/g, ' C'],
  [/[\u00a0\u2009\u202f]/g, ' '],
  [/²/g, '2'],
  [/\s*[\r\n]+\s*/g, ' '],
];

/** Most parts of one text: what is longer is cut. */
export const mostParts = 4;

/** A text ready to be sent. */
export type SmsForm =
  | { readonly mode: 'text'; readonly charset: 'IRA'; readonly text: string }
  /** Hexadecimal UTF-16, as text mode wants UCS-2. */
  | { readonly mode: 'text'; readonly charset: 'UCS2'; readonly text: string }
  | { readonly mode: 'pdu'; readonly pdus: readonly SmsPdu[] };

/** One SMS-SUBMIT: hexadecimal, with an empty service centre in front, and its length as AT+CMGS wants it. */
export interface SmsPdu {
  readonly hex: string;
  /** Octets without the service centre. */
  readonly length: number;
}

/** Chooses the form of a text for an international number `+...`. `reference` ties the parts of one text together (0 to 255). */
export function smsForm(to: string, given: string, reference: number): SmsForm {
  const text = plainer.reduce((so, [what, by]) => so.replaceAll(what, by), given);
  if (alike.test(text) && text.length <= 160) return { mode: 'text', charset: 'IRA', text };
  if (isGsm(text)) {
    if (septets(text).length <= 160) return { mode: 'pdu', pdus: [gsmPdu(to, septets(text))] };
    return { mode: 'pdu', pdus: inParts(gsmParts(text), reference, (part, header) => gsmPdu(to, part, header)) };
  }
  if (text.length <= 70) return { mode: 'text', charset: 'UCS2', text: ucs2Hex(text) };
  return { mode: 'pdu', pdus: inParts(ucs2Parts(text), reference, (part, header) => ucs2Pdu(to, part, header)) };
}

/** How many messages a text is, for those who pay. */
export function smsCount(form: SmsForm): number {
  return form.mode === 'text' ? 1 : form.pdus.length;
}

/** UTF-16 in hexadecimal, the most significant byte first. */
export function ucs2Hex(text: string): string {
  let hex = '';
  for (let i = 0; i < text.length; i += 1) hex += text.charCodeAt(i).toString(16).toUpperCase().padStart(4, '0');
  return hex;
}

/** The text of hexadecimal UTF-16; undefined when it is none. */
export function fromUcs2Hex(hex: string): string | undefined {
  if (hex === '' || hex.length % 4 !== 0 || !/^[0-9A-Fa-f]+$/.test(hex)) return undefined;
  return (hex.match(/.{4}/g) ?? []).map((one) => String.fromCharCode(Number.parseInt(one, 16))).join('');
}

/** Packs 7-bit codes into octets after so many bits of fill (23.038, 6.1.2.1). */
export function packSeptets(codes: readonly number[], fillBits = 0): number[] {
  const octets: number[] = [];
  let bits = fillBits;
  let held = 0;
  for (const code of codes) {
    held |= code << bits;
    bits += 7;
    while (bits >= 8) {
      octets.push(held & 0xff);
      held >>= 8;
      bits -= 8;
    }
  }
  if (bits > 0) octets.push(held & 0xff);
  return octets;
}

const isGsm = (text: string): boolean => [...text].every((letter) => septetsOf.has(letter) && letter !== '\u001b');
const septets = (text: string): number[] => [...text].flatMap((letter) => septetsOf.get(letter) ?? []);

/** Parts of 153 codes; an escape stays with what it escapes. */
function gsmParts(text: string): number[][] {
  const parts: number[][] = [[]];
  for (const letter of text) {
    const codes = septetsOf.get(letter) ?? [];
    if ((parts.at(-1)?.length ?? 0) + codes.length > 153) parts.push([]);
    parts.at(-1)?.push(...codes);
  }
  return parts;
}

/** Parts of 67 UTF-16 units; no letter is cut in two. */
function ucs2Parts(text: string): string[] {
  const parts = [''];
  for (const letter of text) {
    if ((parts.at(-1) ?? '').length + letter.length > 67) parts.push('');
    parts.push((parts.pop() ?? '') + letter);
  }
  return parts;
}

function inParts<T>(
  all: readonly T[],
  reference: number,
  make: (part: T, header: readonly number[]) => SmsPdu,
): SmsPdu[] {
  const parts = all.slice(0, mostParts);
  return parts.map((part, index) => make(part, [0x05, 0x00, 0x03, reference & 0xff, parts.length, index + 1]));
}

function gsmPdu(to: string, codes: readonly number[], header: readonly number[] = []): SmsPdu {
  // A header of six octets takes the place of seven codes, one bit of which is fill.
  const headerSeptets = Math.ceil((header.length * 8) / 7);
  const fill = headerSeptets * 7 - header.length * 8;
  return submit(to, 0x00, headerSeptets + codes.length, [...header, ...packSeptets(codes, fill)], header.length > 0);
}

function ucs2Pdu(to: string, text: string, header: readonly number[]): SmsPdu {
  const octets = [...header, ...(ucs2Hex(text).match(/../g) ?? []).map((one) => Number.parseInt(one, 16))];
  return submit(to, 0x08, octets.length, octets, true);
}

/** How long the network keeps a message for a phone that is off: 24 hours (23.040, 9.2.3.12.1). */
export const validityDay = 167;

/** SMS-SUBMIT (23.040, 9.2.2.2) with a relative validity. */
function submit(to: string, coding: number, userLength: number, user: readonly number[], hasHeader: boolean): SmsPdu {
  const digits = to.replace(/^\+/, '');
  const padded = digits.length % 2 === 0 ? digits : `${digits}F`;
  const address = (padded.match(/../g) ?? []).map((pair) => Number.parseInt(`${pair[1]}${pair[0]}`, 16));
  const octets = [
    hasHeader ? 0x51 : 0x11,
    0x00,
    digits.length,
    to.startsWith('+') ? 0x91 : 0x81,
    ...address,
    0x00,
    coding,
    validityDay,
    userLength,
    ...user,
  ];
  const hex = octets.map((one) => one.toString(16).toUpperCase().padStart(2, '0')).join('');
  return { hex: `00${hex}`, length: octets.length };
}
