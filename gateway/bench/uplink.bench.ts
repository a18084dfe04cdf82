/** What the uplink takes: bytes a sample, on the line too, and what AWS IoT Core would ask for a gateway's month of it. */
import { join } from 'node:path';
import type { Plan } from '@villagrid/contracts';
import type { Bench, Contestant, Figure } from '@villagrid/tools/bench';
import { sendDay, type UplinkDay } from './uplink-day.js';

/**
 * Prices of AWS IoT Core, US dollars: of its pricing page as read on 2026-09-20 connections and messages; those of rules and
 * actions from memory, for the page has them by region in a form that could not be read.
 */
const dollars = { connectedMinute: 0.08e-6, message: 1e-6, rule: 0.15e-6, action: 0.15e-6 };
const monthHours = 30 * 24;
/** A receipt is a message into the broker, one out of it, and its acknowledgement by the gateway. */
const messagesOfReceipt = 3;
/** Live envelopes that are sealed ask for a receipt each three hours. */
const receiptsOfMonth = monthHours / 3;

/** A gateway's month: envelopes by Basic Ingest, where a rule and its action are paid, and no message. */
const monthDollars = ({ unitsUp, hours }: UplinkDay): number =>
  monthHours * 60 * dollars.connectedMinute +
  (unitsUp / hours) * monthHours * (dollars.rule + dollars.action) +
  receiptsOfMonth * messagesOfReceipt * dollars.message;

const beside = (day: UplinkDay): Record<string, number> => ({
  line_bytes_per_sample: day.lineBytes / day.samples,
  envelope_bytes: day.payloadBytes / ((day.unitsUp / day.hours) * day.hours),
  megabytes_a_month: ((day.lineBytes / day.hours) * monthHours) / 1e6,
  dollars_a_month: monthDollars(day),
});

const sent = (what: string, plan: Plan, gatherS: number | undefined, of: (day: UplinkDay) => number): Contestant => ({
  what,
  async run(lap): Promise<Figure> {
    const day = await sendDay(join(lap.folder, 'uplink'), plan, gatherS);
    return { value: of(day), beside: beside(day) };
  },
});

const perSample = ({ payloadBytes, samples }: UplinkDay) => payloadBytes / samples;
const perSampleOnLine = ({ lineBytes, samples }: UplinkDay) => lineBytes / samples;

export const benches: readonly Bench[] = [
  {
    id: 'uplink.bytes.minute',
    unit: 'payload bytes per sample',
    what: 'Every sample of ten devices of twelve metrics each 5 s, three hours of a day, in frames of a minute.',
    own: sent('plan raw, a minute together', 'raw', 60, perSample),
  },
  {
    id: 'uplink.bytes.ten_minutes',
    unit: 'payload bytes per sample',
    what: 'The same in frames of ten minutes.',
    own: sent('plan raw, ten minutes together', 'raw', 600, perSample),
  },
  {
    id: 'uplink.bytes.line',
    unit: 'bytes per sample on the line',
    what: 'Frames of a minute with everything that TLS, TCP, IP, acknowledgements, receipts and pings add, both ways.',
    own: sent('plan raw, a minute together', 'raw', 60, perSampleOnLine),
  },
  {
    id: 'uplink.bytes.price_standard',
    unit: 'US dollars a gateway-month',
    what: 'Plan standard (means of a minute) at the published prices of AWS IoT Core.',
    own: sent('plan standard', 'standard', undefined, monthDollars),
  },
  {
    id: 'uplink.bytes.price_every_sample',
    unit: 'US dollars a gateway-month',
    what: 'Every sample, a minute together, at the published prices of AWS IoT Core.',
    own: sent('plan raw, a minute together', 'raw', 60, monthDollars),
  },
];
