/** First step of the ETL: bytes of a publish to an envelope. Pure; how to inflate is given. */
import {
  messageOf,
  CodecError,
  decodeEnvelopeBody,
  envelopeBrotli,
  envelopeDeflated,
  envelopePlain,
  maxEnvelopeBytes,
  maxInflatedBytes,
  type Envelope,
} from '@villagrid/contracts';

/** Inflates what was compressed; must throw when the result would be longer than `limitBytes`. */
export type Inflate = (bytes: Uint8Array, limitBytes: number, form: 'deflate' | 'brotli') => Uint8Array;

/** An envelope, or why it is none. */
export type DecodedEnvelope =
  | { readonly ok: true; readonly envelope: Envelope }
  | { readonly ok: false; readonly reason: string };

/** Form of an epoch id: any short word. */
const epochForm = /^[A-Za-z0-9._-]{1,64}$/;

/** Decodes one publish of the live or backfill lane. Never throws for what is in the bytes. */
export function decodeEnvelope(payload: Uint8Array, inflate: Inflate): DecodedEnvelope {
  const refuse = (reason: string): DecodedEnvelope => ({ ok: false, reason });
  if (payload.length > maxEnvelopeBytes)
    return refuse(`${payload.length} bytes; at most ${maxEnvelopeBytes} are taken`);
  const form = payload[0];
  if (form === undefined) return refuse('empty');
  if (form !== envelopePlain && form !== envelopeDeflated && form !== envelopeBrotli)
    return refuse(`first byte is ${form}; known are 2, 3 and 4`);
  let body = payload.subarray(1);
  if (form !== envelopePlain) {
    try {
      body = inflate(body, maxInflatedBytes, form === envelopeBrotli ? 'brotli' : 'deflate');
    } catch (error) {
      return refuse(`cannot be inflated: ${messageOf(error)}`);
    }
  }
  let envelope: Envelope;
  try {
    envelope = decodeEnvelopeBody(body);
  } catch (error) {
    if (error instanceof CodecError || error instanceof TypeError) return refuse(error.message);
    throw error;
  }
  if (!epochForm.test(envelope.epoch)) return refuse('the epoch has not the form of one');
  const numbers = envelope.counts?.reduce((sum, count) => sum + count, 0) ?? envelope.frames.length;
  if (!Number.isSafeInteger(envelope.first + numbers)) return refuse('log numbers beyond 2^53');
  return { ok: true, envelope };
}
