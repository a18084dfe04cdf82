/** Takes secrets out of what is logged, by the name of the field and by the look of the text. */

const secretName = /password|passphrase|passwd|token|secret|psk|authorization|cookie|credential|key(_?pem)?s?$/i;
const secretText =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)|\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/g;
const taken = '[taken out]';
const maxDepth = 5;
const maxItems = 50;
const maxText = 4000;

/** A text without private keys and bearer tokens, of at most 4000 characters. */
export function redactText(text: string): string {
  const cut = text.length > maxText ? `${text.slice(0, maxText)}... (${text.length} characters)` : text;
  return cut.includes('PRIVATE KEY') || cut.includes('Bearer ') || cut.includes('Basic ')
    ? cut.replace(secretText, taken)
    : cut;
}

/** A copy of a line's fields as plain JSON, without secrets, of bounded depth and size. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return record(fields, 0);
}

function record(fields: object, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields).slice(0, maxItems)) {
    if (value === undefined) continue;
    copy[key] = secretName.test(key) && value !== null && typeof value !== 'boolean' ? taken : plain(value, depth + 1);
  }
  return copy;
}

function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return describeError(value, depth);
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (depth > maxDepth) return '...';
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => plain(item, depth + 1));
  return record(value instanceof Map ? Object.fromEntries(value) : value, depth);
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const code = 'code' in error ? error.code : undefined;
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(error.stack ? { stack: redactText(error.stack) } : {}),
    ...(error.cause !== undefined && depth < maxDepth ? { cause: plain(error.cause, depth + 1) } : {}),
  };
}
