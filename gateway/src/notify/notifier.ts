/**
 * Tells people of alerts: routing says who is to be told what, channels tell it, and what became of it is kept before anything else
 * follows, so that nobody is told twice after a restart. A way that fails becomes an alert of its own.
 */
import {
  createNotifyRouter,
  messageOf,
  notifyFacts,
  notifyTestText,
  notifyText,
  oldestRingingMs,
  VillagridError,
  type Alert,
  type AlertEvent,
  type AlertSubject,
  type Clock,
  type NotifyChannelName,
  type NotifyMessage,
  type NotifyStatus,
  type Site,
  type Timer,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger, NotifyStore } from '@villagrid/runtime';
import type { NotifyConfig } from '../config/notify-schema.js';
import { ChannelError, type ChannelStatus, type NotifyChannel } from './channels/port.js';
import { mustBePhoneNumber } from './channels/sms.js';
import { notifyPlan, recipientName } from './plan.js';

const stepEveryMs = 1000;
/** How often a channel is looked at, real ms: a modem is near, a mail server costs airtime. */
const lookEveryMs: Readonly<Record<NotifyChannelName, number>> = { sms: 600_000, relay: 3_600_000, email: 43_200_000 };
/** The same at most while it fails, and how soon after the start. */
const lookAgainMs = 3_600_000;
const firstLookMs = 5000;
/** How long a channel may fail until it is an alert, real ms: a village has no link for days. */
const patience: Readonly<Record<NotifyChannelName, number>> = { sms: 0, relay: 0, email: 24 * 3_600_000 };
/** How long a stop waits for messages that are being handed over, real ms. */
const handOverMs = 2500;
const recentShown = 20;
/** How long a test may sound although no alert does, real ms. */
const testSoundsMs = 3000;
const routingState = 'routing';

/** The rule of ways that fail, and the figure it watches. */
export const notifyFailingRuleId = 'notify_channel_failing';
export const notifyFailingFigure = 'gateway_notify_failing';

export interface NotifierOptions {
  readonly config: NotifyConfig;
  readonly site: Pick<Site, 'grid_id' | 'name' | 'zone'>;
  readonly channels: readonly NotifyChannel[];
  readonly store: NotifyStore;
  /** The alerts that are active now. */
  readonly active: () => readonly Alert[];
  /** Feeds a figure of the gateway itself to the rules. */
  readonly figure: (metric: string, value: number) => void;
  /** Whether the time is known: otherwise hours keep nothing back. */
  readonly timeKnown: () => boolean;
  readonly speed?: number | undefined;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly logger: Logger;
}

/** How one channel has done since the start. */
export interface ChannelNumbers {
  readonly name: NotifyChannelName;
  readonly sent: number;
  readonly failed: number;
  readonly failing: boolean;
  readonly lastSentMs: number | null;
  readonly signalDbm: number | null;
  readonly balance: number | null;
}

/** Telling people, as a part of the gateway. */
export interface Notifier extends LifecyclePart {
  /** An event of an alert that is durable, and the alert as it is with it. */
  tell(event: AlertEvent, alert: Alert): void;
  clockMoved(byMs: number): void;
  status(): NotifyStatus;
  /** Sends a test by one channel; looks at the channel after it. Throws E_NOTIFY_FAILED, E_REQUEST_INVALID. */
  test(channel: NotifyChannelName, to: string): Promise<NotifyStatus['channels'][number]>;
  numbers(): readonly ChannelNumbers[];
  /** What an alert about ways that fail says. */
  words(): Partial<AlertSubject> | undefined;
}

class Watched {
  readonly channel: NotifyChannel;
  status: ChannelStatus = { state: 'unknown', detail: 'not looked at yet' };
  sent = 0;
  failed = 0;
  lastSentMs: number | null = null;
  /** Real monotonic ms. */
  failingSinceMs: number | null = null;
  next: Timer | undefined;

  constructor(channel: NotifyChannel) {
    this.channel = channel;
  }
}

/** Makes it and restores what was under way. */
export function createNotifier(options: NotifierOptions): Notifier {
  const { config, site, store, clock, realClock, logger } = options;
  const plan = notifyPlan(config, site.zone, options.speed);
  const languages = new Map(plan.recipients.map(({ id, language }) => [id, language]));
  const router = createNotifyRouter(plan, store.state(routingState));
  const channels = new Map(options.channels.map((one) => [one.name, new Watched(one)]));
  /** Messages that a channel has now. */
  const handed = new Map<number, Promise<void>>();
  let saved = router.exportState();
  let timers: Timer[] = [];
  let stopped = false;
  let savesSoon = false;
  let testUntilMs = Number.NEGATIVE_INFINITY;

  const save = (): void => {
    const state = router.exportState();
    if (state === saved) return;
    try {
      store.putState(routingState, state);
      saved = state;
    } catch (error) {
      // People are told all the same: a card that takes nothing more must not silence the village.
      logger.warn('what was told cannot be kept; after a restart it may be told again', { error });
    }
  };

  /** Once for all that was told in this moment: a shower of alerts must not write the card as often. */
  const saveSoon = (): void => {
    if (savesSoon) return;
    savesSoon = true;
    queueMicrotask(() => {
      savesSoon = false;
      save();
    });
  };

  const note = (one: Watched, status: ChannelStatus): void => {
    if (status.state === 'ok') one.failingSinceMs = null;
    else one.failingSinceMs ??= realClock.monotonicMs();
    if (one.status.state !== status.state)
      logger[status.state === 'ok' ? 'info' : 'warn'](`${one.channel.name}: ${status.detail}`);
    one.status = { ...(status.state === 'ok' ? {} : lastKnown(one.status)), ...status };
    options.figure(notifyFailingFigure, failing().length);
  };
  const lastKnown = ({ balance }: ChannelStatus) => (balance === undefined ? {} : { balance });
  const failing = (): Watched[] =>
    [...channels.values()].filter(
      ({ failingSinceMs, channel }) =>
        failingSinceMs !== null && realClock.monotonicMs() - failingSinceMs >= patience[channel.name],
    );
  const lookOn = async (one: Watched): Promise<void> => {
    await look(one);
    if (stopped) return;
    const every = lookEveryMs[one.channel.name];
    const again = one.status.state === 'failing' ? Math.min(every, lookAgainMs) : every;
    one.next = realClock.after(again, () => void lookOn(one));
  };
  const look = async (one: Watched): Promise<void> => {
    const status = await one.channel
      .check()
      .catch((error: unknown): ChannelStatus => ({ state: 'failing', detail: messageOf(error) }));
    if (!stopped) note(one, status);
  };

  const wordsFor = (message: NotifyMessage) => {
    const lines = message.items.flatMap(({ alert_id, why }) => {
      const facts = router.facts(alert_id);
      return facts ? [{ facts, why }] : [];
    });
    const language = languages.get(message.recipient) ?? 'en';
    return lines.length === 0 ? undefined : notifyText(lines, { place: site.name, zone: site.zone, language });
  };

  const hand = async (message: NotifyMessage): Promise<void> => {
    const text = wordsFor(message);
    const one = channels.get(message.way.channel);
    let error: string | null = one ? null : `${message.way.channel} is not set up`;
    if (text && one) {
      try {
        await one.channel.send({ to: message.way.to, severity: message.severity, text });
        one.sent += 1;
        one.lastSentMs = Math.round(clock.nowMs());
        if (one.status.state === 'failing') note(one, { state: 'ok', detail: 'a message was taken' });
      } catch (failure) {
        // It goes out again after the start.
        if (stopped) return;
        error = messageOf(failure);
        one.failed += 1;
        logger.warn(`a message by ${one.channel.name} did not go out`, { reason: error });
        if (!(failure instanceof ChannelError && failure.receiver)) note(one, { state: 'failing', detail: error });
      }
    }
    router.result(message.id, error === null, clock.nowMs());
    save();
    if (text && one) record(message, text.subject, error);
  };

  const record = ({ recipient, way }: NotifyMessage, subject: string, error: string | null): void => {
    try {
      store.add({
        at_ms: Math.round(clock.nowMs()),
        recipient: recipientName(recipient),
        channel: way.channel,
        subject,
        error,
      });
    } catch (failure) {
      logger.warn('a message that was sent is not in the list', { error: failure });
    }
  };

  const step = (): void => {
    if (stopped) return;
    const { send, hush } = router.step(clock.nowMs(), options.timeKnown());
    if (hush.length > 0 && realClock.monotonicMs() >= testUntilMs)
      channels
        .get('relay')
        ?.channel.hush()
        .catch((error: unknown) => logger.warn('the relay could not be switched off', { reason: messageOf(error) }));
    const fresh = send.filter(({ id }) => !handed.has(id));
    if (fresh.length > 0) save();
    for (const message of fresh) {
      const done = hand(message)
        .catch((error: unknown) => logger.error('a message could not be dealt with', { error }))
        .finally(() => handed.delete(message.id));
      handed.set(message.id, done);
    }
  };

  const shown = (one: Watched): NotifyStatus['channels'][number] => ({
    channel: one.channel.name,
    state: one.status.state,
    detail: one.status.detail,
    signal_dbm: one.status.signal_dbm ?? null,
    balance: one.status.balance ? { ...one.status.balance } : null,
    sent: one.sent,
    failed: one.failed,
    last_sent_ms: one.lastSentMs,
  });

  return {
    name: 'notify',
    stopDeadlineMs: handOverMs + 1000,
    start() {
      const nowMs = clock.nowMs();
      router.started(
        options.active().map((one) => notifyFacts(one, nowMs)),
        nowMs,
      );
      save();
      timers = [realClock.every(stepEveryMs, step)];
      for (const one of channels.values()) one.channel.watch?.((status) => stopped || note(one, status));
      for (const one of channels.values()) one.next = realClock.after(firstLookMs, () => void lookOn(one));
    },
    async stop() {
      for (const timer of timers) timer.cancel();
      for (const { next } of channels.values()) next?.cancel();
      // What a channel has just now is better told than told again.
      const late = new AbortController();
      const deadline = realClock.sleep(handOverMs, late.signal).catch(() => {});
      await Promise.race([Promise.all(handed.values()), deadline]);
      late.abort();
      stopped = true;
      await Promise.all([...channels.values()].map(({ channel }) => channel.close()));
      save();
    },
    tell(event, alert) {
      const nowMs = clock.nowMs();
      // The past rings no bell, nor does what comes back out of planned work and was told in another way.
      const late = event.kind === 'raised' && nowMs - event.at_ms > oldestRingingMs * (options.speed ?? 1);
      const quiet = late || (event.kind === 'released' && !event.told);
      router.alert(notifyFacts(alert, nowMs), nowMs, { isNew: event.kind === 'raised', quiet });
      saveSoon();
    },
    clockMoved(byMs) {
      router.clockMoved(byMs);
      save();
    },
    status: () => ({
      grid_id: site.grid_id,
      waiting: router.waiting(),
      people: config.people.length,
      channels: [...channels.values()].map(shown),
      recent: store.list(recentShown).map((one) => ({ ...one })),
    }),
    async test(name, to) {
      const one = channels.get(name);
      if (!one)
        throw new VillagridError('E_REQUEST_INVALID', `${name} is not set up here; the settings are notify.${name}.`, {
          next: 'docs/how-to/tell-people.md shows how.',
        });
      try {
        const address = name === 'sms' ? mustBePhoneNumber(to) : to;
        if (name === 'relay') testUntilMs = realClock.monotonicMs() + testSoundsMs;
        const text = notifyTestText({ place: site.name, language: 'en', zone: site.zone });
        await one.channel.send({ to: address, severity: 'low', text });
        one.sent += 1;
        one.lastSentMs = Math.round(clock.nowMs());
      } catch (error) {
        one.failed += 1;
        if (!(error instanceof ChannelError && error.receiver))
          note(one, { state: 'failing', detail: messageOf(error) });
        throw new VillagridError('E_NOTIFY_FAILED', `${messageOf(error)}.`);
      }
      await look(one);
      return shown(one);
    },
    numbers: () =>
      [...channels.values()].map((one) => ({
        name: one.channel.name,
        sent: one.sent,
        failed: one.failed,
        failing: one.status.state === 'failing',
        lastSentMs: one.lastSentMs,
        signalDbm: one.status.signal_dbm ?? null,
        balance: one.status.balance?.amount ?? null,
      })),
    words() {
      const bad = failing();
      if (bad.length === 0) return undefined;
      return {
        what: `Alerts do not reach people by ${bad.map(({ channel, status }) => `${channel.name}: ${status.detail}`).join('; ')}.`,
      };
    },
  };
}
