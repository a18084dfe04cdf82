/** What a gateway's log really holds, read from its file after the gateway was killed. */
import { join } from 'node:path';
import { decodeFrame } from '@villagrid/contracts';
import { cryptoRandom, openDatabase, realClock, silentLogger } from '@villagrid/runtime';
import { emptyJournal, unpackFrame } from '@villagrid/gateway';
import { firstSeq, metricsPerMessage } from './packets.js';

/** A device and how many of its messages were acknowledged. */
export interface Acknowledged {
  readonly deviceId: string;
  readonly boot: string;
  readonly count: number;
}

/**
 * Checks that the log holds each acknowledged message exactly once with all its samples, and no other. Throws an Error
 * that tells the first difference: figures of a load that was not kept are worth nothing.
 */
export async function checkStored(dataDirectory: string, acknowledged: readonly Acknowledged[]): Promise<void> {
  const seen = new Map(acknowledged.map((one) => [`${one.deviceId} ${one.boot}`, new Uint8Array(one.count)]));
  const samples = new Map<string, number>();
  const path = join(dataDirectory, 'log.db');
  // As the next start would find it.
  await emptyJournal(path, { clock: realClock(), random: cryptoRandom(), log: silentLogger() });
  const database = openDatabase({ path, readonly: true });
  try {
    const rows = database.prepare<[], { number: number; bytes: Buffer }>(
      'SELECT number, bytes FROM frame ORDER BY number',
    );
    let expected = 1;
    for (const { number, bytes } of rows.iterate()) {
      if (number !== expected) throw new Error(`frame ${expected} is missing`);
      expected += 1;
      const frame = decodeFrame(unpackFrame(bytes));
      for (const { deviceId, boot, seqs } of frame.received) {
        const messages = seen.get(`${deviceId} ${boot}`);
        for (const seq of seqs) {
          const index = seq - firstSeq;
          const times = messages?.[index];
          if (messages === undefined || times !== 0)
            throw new Error(
              `${deviceId} ${seq} is in the log ${times === undefined ? 'without having been acknowledged' : 'twice'}`,
            );
          messages[index] = 1;
        }
      }
      for (const { deviceId } of frame.samples) samples.set(deviceId, (samples.get(deviceId) ?? 0) + 1);
    }
  } finally {
    database.close();
  }
  for (const { deviceId, boot, count } of acknowledged) {
    const lost = seen.get(`${deviceId} ${boot}`)?.indexOf(0) ?? -1;
    if (lost >= 0) throw new Error(`${deviceId} ${firstSeq + lost} was acknowledged and is not in the log`);
    const wanted = count * metricsPerMessage;
    if (samples.get(deviceId) !== wanted)
      throw new Error(`${deviceId} has ${samples.get(deviceId)} samples in the log, not ${wanted}`);
  }
}
