/** Packs an envelope: the smallest of what the cloud takes. */
import { promisify } from 'node:util';
import { brotliCompress, constants, deflateRawSync } from 'node:zlib';
import { envelopeBrotli, envelopeDeflated, envelopePlain } from '@villagrid/contracts';

const brotli = promisify(brotliCompress);

/** The bytes of a publish. With `brotli`, which takes longer and is done beside the event loop, they are some percent fewer. */
export async function packEnvelope(body: Uint8Array, withBrotli: boolean): Promise<Uint8Array> {
  const forms: (readonly [number, Uint8Array])[] = [
    [envelopePlain, body],
    [envelopeDeflated, deflateRawSync(body, { level: 9 })],
  ];
  if (withBrotli)
    forms.push([
      envelopeBrotli,
      await brotli(body, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
      }),
    ]);
  const [form, bytes] = forms.reduce((best, one) => (one[1].length < best[1].length ? one : best));
  return Buffer.concat([Buffer.of(form), bytes]);
}
