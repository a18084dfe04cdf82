/**
 * Accepting: archive and ledger first, thanks afterwards. A PUBACK leaves only after the commit that holds the envelope;
 * so does a receipt. What is shown is projected later and elsewhere.
 */
import { createHash } from 'node:crypto';
import { brotliDecompressSync, inflateRawSync } from 'node:zlib';
import type { Clock, Lane, Receipt } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import { decodeEnvelope, type Inflate } from '../etl/envelope.js';
import { examineFrame } from '../etl/frame.js';
import type { Counters } from '../observe/counters.js';
import type { Accepted, DeadLetter, FramesToAccept, FrameToArchive, UplinkStore } from '../stores/uplink-store.js';
import { createGroupCommit } from './group-commit.js';

/** An envelope of a gateway that was let in. */
export interface Arrival {
  readonly gateway: GatewayEntry;
  readonly lane: Extract<Lane, 'live' | 'backfill'>;
  readonly payload: Uint8Array;
}

export interface AcceptorOptions {
  readonly store: UplinkStore;
  /** The village's clock, for the times things are noted with. */
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  /** Called after each commit, before receipts are made; for tests that end the process there. */
  readonly afterCommit?: () => void;
  /** Sends a receipt; called only after the commit it speaks of. */
  readonly sendReceipt: (gateway: GatewayEntry, receipt: Receipt) => void;
  /** Something new lies in the archive. */
  readonly onAccepted: (gateways: readonly GatewayEntry[]) => void;
}

export interface Acceptor {
  /** Resolves when the envelope (or what it is refused for) is durable; rejects when it could not be stored. */
  accept(arrival: Arrival): Promise<void>;
  drained(): Promise<void>;
}

/** Most envelopes of one commit. */
const mostPerCommit = 100;

const inflate: Inflate = (bytes, limitBytes, form) =>
  form === 'brotli'
    ? brotliDecompressSync(bytes, { maxOutputLength: limitBytes })
    : inflateRawSync(bytes, { maxOutputLength: limitBytes });

interface Prepared {
  readonly gateway: GatewayEntry;
  readonly batch: FramesToAccept | undefined;
  readonly letters: readonly DeadLetter[];
  readonly receiptWanted: boolean;
}

/** Decodes and examines one envelope; no I/O. */
function prepare({ gateway, payload }: Arrival): Prepared {
  const { gateway_id: gatewayId, grid_id: gridId } = gateway;
  const decoded = decodeEnvelope(payload, inflate);
  if (!decoded.ok) {
    const code = 'E_ENVELOPE_INVALID';
    const letter = { stage: 'envelope', gatewayId, gridId, epoch: null, number: null, code } as const;
    return {
      gateway,
      batch: undefined,
      letters: [{ ...letter, reason: decoded.reason, bytes: payload }],
      receiptWanted: false,
    };
  }
  const { epoch, first, frames, counts, receiptWanted } = decoded.envelope;
  let next = first;
  const toArchive = frames.map((bytes, index): FrameToArchive => {
    const examined = examineFrame(bytes, gridId);
    const hash = createHash('sha256').update(bytes).digest();
    const number = next;
    next += counts?.[index] ?? 1;
    const last = next - 1;
    return examined.ok
      ? { number, last, bytes, hash, bad: null, fromMs: examined.fromMs, toMs: examined.toMs }
      : { number, last, bytes, hash, bad: `E_ENVELOPE_INVALID: ${examined.reason}`, fromMs: null, toMs: null };
  });
  return { gateway, batch: { gatewayId, gridId, epoch, frames: toArchive }, letters: [], receiptWanted };
}

/** Makes the acceptor. */
export function createAcceptor(options: AcceptorOptions): Acceptor {
  const { store, clock, realClock, log, counters } = options;

  const commitGroup = async (prepared: readonly Prepared[]): Promise<void> => {
    const batches = prepared.flatMap(({ batch }) => (batch ? [batch] : []));
    const letters = prepared.flatMap((one) => one.letters);
    const outcomes = await store.accept(batches, letters, clock.nowMs());
    counters.commits += 1;
    options.afterCommit?.();
    let index = 0;
    for (const one of prepared) note(one, one.batch ? outcomes[index++] : undefined);
    await tellReceipts(prepared, outcomes);
  };

  const note = ({ gateway, batch, letters }: Prepared, outcome: Accepted | undefined): void => {
    for (const letter of letters) {
      counters.envelopesRefused += 1;
      log.warn('an envelope was refused', { code: letter.code, gateway_id: gateway.gateway_id, reason: letter.reason });
    }
    if (!batch || !outcome) return;
    counters.envelopes += 1;
    counters.framesAdded += outcome.added;
    counters.framesRepeated += outcome.repeated;
    counters.conflicts += outcome.conflicts.length;
    if (outcome.conflicts.length > 0)
      log.error('log numbers came with other content; what came first stays', {
        code: 'E_ENVELOPE_CONFLICT',
        gateway_id: batch.gatewayId,
        epoch: batch.epoch,
        numbers: outcome.conflicts.slice(0, 20),
      });
    const bad = batch.frames.filter((frame) => frame.bad !== null);
    counters.framesBad += bad.length;
    for (const { number, bad: reason } of bad)
      log.warn('a frame was refused', { gateway_id: batch.gatewayId, epoch: batch.epoch, number, reason });
  };

  /** One receipt per log of the group that asked for one, or whose gap closed, or where something was refused. */
  const tellReceipts = async (prepared: readonly Prepared[], outcomes: readonly Accepted[]): Promise<void> => {
    const due = new Map<string, { gateway: GatewayEntry; epoch: string; isAnswer: boolean }>();
    let index = 0;
    for (const { gateway, batch, receiptWanted } of prepared) {
      if (!batch) continue;
      const outcome = outcomes[index++] as Accepted;
      const refused = outcome.conflicts.length > 0 || batch.frames.some((frame) => frame.bad !== null);
      const name = `${batch.gatewayId} ${batch.epoch}`;
      const isAnswer = receiptWanted || due.get(name)?.isAnswer === true;
      if (isAnswer || outcome.gapClosed || refused) due.set(name, { gateway, epoch: batch.epoch, isAnswer });
    }
    for (const { gateway, epoch, isAnswer } of due.values()) {
      const receipt = await store.receipt(gateway.gateway_id, epoch);
      counters.receipts += 1;
      // Only from an answer can a gateway tell how old the time is.
      options.sendReceipt(gateway, { ...receipt, ...(isAnswer ? { server_time_ms: clock.nowMs() } : {}) });
    }
  };

  const group = createGroupCommit<Arrival>({
    realClock,
    maxItems: mostPerCommit,
    async commit(arrivals, done) {
      const prepared = arrivals.map(prepare);
      try {
        await commitGroup(prepared);
      } catch (error) {
        if (prepared.length === 1) throw error;
        // One of them may be at fault: each alone, so that the others are not held up by it.
        for (const [index, one] of prepared.entries()) {
          await commitGroup([one]).then(
            () => done(index),
            (failure: unknown) => done(index, failure),
          );
        }
      }
      for (let i = 0; i < prepared.length; i += 1) done(i);
      options.onAccepted(prepared.map((one) => one.gateway));
    },
  });

  return { accept: (arrival) => group.add(arrival), drained: () => group.drained() };
}
