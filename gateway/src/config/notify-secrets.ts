/** The file of secrets of telling people: `{"sms_pin": "1234", "sms_pin_given": "…", "email_password": "…"}`, mode 0600. */
import { readFileSync } from 'node:fs';
import { messageOf, VillagridError } from '@villagrid/contracts';

/** What is in it; nothing of it is ever logged or shown. */
export interface NotifySecrets {
  readonly sms_pin?: string;
  /** Another text each time the PIN is given, so that one that was refused is tried again when it is given anew. */
  readonly sms_pin_given?: string;
  readonly email_password?: string;
}

const names = ['sms_pin', 'sms_pin_given', 'email_password'] as const;

/** Reads the secrets; a file that is not there is empty. Throws E_CONFIG_*, never with a secret. */
export function readNotifySecrets(path: string): NotifySecrets {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new VillagridError('E_CONFIG_READ', `${path}: ${messageOf(error)}.`);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new VillagridError('E_CONFIG_SYNTAX', `${path}: this is not JSON.`);
  }
  const entries = typeof content === 'object' && content !== null ? Object.entries(content) : undefined;
  const known = (name: string) => (names as readonly string[]).includes(name);
  if (!entries || Array.isArray(content) || entries.some(([name, value]) => !known(name) || typeof value !== 'string'))
    throw new VillagridError(
      'E_CONFIG_INVALID',
      `${path}: it must hold nothing but the texts ${names.join(', ')}; write it with \`villagrid notify secret\`.`,
    );
  return Object.fromEntries(entries) as NotifySecrets;
}
