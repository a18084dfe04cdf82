/**
 * Commands of people here to what a gateway has. A command is confirmed, kept, announced, and let go once its gateway
 * answers, if its time is not over: it is never queued for a gateway that is away. Its outcome comes on the session lane,
 * and in the gateway's log.
 */
import type { CommandAsked, CommandPort } from '@villagrid/api';
import {
  mostCommandsListed,
  commandStates,
  diagnoseCommand,
  longestCommandS,
  newId,
  roles,
  VillagridError,
  type Clock,
  type CommandAnswer,
  type CommandRecord,
  type CommandState,
  type DownMessage,
  type FrameEntry,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import type { LifecyclePart, Logger } from '@villagrid/runtime';
import type { GatewayEntry } from '../config/schema.js';
import type { AbilityStore } from '../stores/ability-store.js';
import type { SentCommands } from '../stores/command-store.js';
import type { Presence } from '../uplink/presence.js';

/** How long a person may think about it, real milliseconds. */
const confirmWithinMs = 60_000;
const mostQuestions = 1000;
const standardExpiryS = 20;
/** The outcome may take a little longer than the device: the line is long, milliseconds. */
const graceMs = 5000;

export interface CommandsOptions {
  readonly store: SentCommands;
  readonly abilities: AbilityStore;
  readonly presence: Pick<Presence, 'state'>;
  readonly send: (gateway: GatewayEntry, message: DownMessage) => void;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
}

/** An outcome as it came. */
export interface ToldOutcome {
  readonly id: string;
  readonly state: CommandState;
  readonly reason: string | null;
  readonly read_back: string | null;
}

export interface Commands extends LifecyclePart {
  portOf(gateway: GatewayEntry): CommandPort;
  /** A gateway says whether its devices take commands; undefined of one that takes none from here. */
  hello(gateway: GatewayEntry, enabled: boolean | undefined): void;
  /** It has the announcement of one. */
  ready(gateway: GatewayEntry, id: string): void;
  outcome(gateway: GatewayEntry, told: ToldOutcome): void;
  /** An entry of a gateway's log; within the caller's transaction. */
  took(gridId: string, entry: Extract<FrameEntry, { type: 'command' }>): void;
}

interface UnderWay {
  readonly record: CommandRecord;
  readonly gateway: GatewayEntry;
  /** When its time is over, real monotonic milliseconds. */
  readonly untilMs: number;
  isLetGo: boolean;
  readonly timer: Timer;
  readonly ended: (record: CommandRecord) => void;
}

/** Makes it. */
export function createCommands(options: CommandsOptions): Commands {
  const { store, presence, send, clock, realClock, random, log } = options;
  /** Gateways that know of commands, and whether they take any. */
  const takes = new Map(options.abilities.all('commands'));
  const questions = new Map<string, { readonly key: string; readonly untilMs: number }>();
  const underWay = new Map<string, UnderWay>();

  const finish = (gridId: string, id: string, outcome: Omit<ToldOutcome, 'id'>): void => {
    const known = underWay.get(id);
    // Another gateway's word counts for nothing.
    const waiting = known?.gateway.grid_id === gridId ? known : undefined;
    const record = waiting?.record ?? store.get(gridId, id);
    // What ended is over, but for one of which nothing was known.
    const isOpen = record?.state === 'sent' || (record?.state === 'failed' && outcome.state !== 'failed');
    if (record === undefined || !isOpen) return;
    if (waiting) underWay.delete(id);
    waiting?.timer.cancel();
    const ended: CommandRecord = {
      ...record,
      ...outcome,
      finished_at_ms: Math.floor(clock.nowMs()),
      late_answer: waiting === undefined,
    };
    store.put(gridId, ended);
    log.info(`a command was ${ended.state}`, {
      ...{ command_id: id, grid_id: gridId, device_id: ended.device_id, command: ended.command },
      ...{ user_id: ended.actor.user_id, reason: ended.reason },
    });
    waiting?.ended(ended);
  };

  const request = async (gateway: GatewayEntry, asked: CommandAsked): Promise<CommandAnswer> => {
    const { deviceId, command, value, actor } = asked;
    const enabled = takes.get(gateway.gateway_id);
    const isDiagnosis = command === diagnoseCommand && deviceId === gateway.gateway_id;
    if (enabled === undefined || (!enabled && !isDiagnosis))
      throw new VillagridError(
        'E_COMMANDS_OFF',
        'The gateway of this grid has not said that it takes commands from here.',
      );
    const nowMs = realClock.monotonicMs();
    const key = JSON.stringify([gateway.gateway_id, actor.user_id, deviceId, command, value]);
    if (asked.confirmation === undefined) {
      for (const [token, { untilMs }] of questions)
        if (untilMs <= nowMs || questions.size >= mostQuestions) questions.delete(token);
      const confirmation = Buffer.from(random.bytes(18)).toString('base64url');
      questions.set(confirmation, { key, untilMs: nowMs + confirmWithinMs });
      const question = isDiagnosis
        ? `Ask gateway ${deviceId} how it does?`
        : `${gateway.grid_id}, ${deviceId}: ${command}: ${value}?`;
      return { state: 'needs_confirmation', question, confirmation };
    }
    const question = questions.get(asked.confirmation);
    questions.delete(asked.confirmation);
    if (question?.key !== key || question.untilMs <= nowMs)
      throw new VillagridError(
        'E_CONFLICT',
        'The confirmation is not for this, was used, or is older than a minute; ask again without one.',
      );
    const expiresInS = Math.min(asked.expiresInS ?? standardExpiryS, longestCommandS);
    const sentMs = Math.floor(clock.nowMs());
    const record: CommandRecord = {
      ...{ command_id: newId(sentMs, random), device_id: deviceId, command, value, state: 'sent', reason: null },
      ...{ read_back: null, actor, sent_at_ms: sentMs, expires_in_s: expiresInS, finished_at_ms: null },
      late_answer: false,
    };
    const { command_id: id } = record;
    // Kept before anything is sent: nothing is done that nobody can find out about.
    store.put(gateway.grid_id, record);
    const role = [...roles].reverse().find((one) => asked.holds(one)) ?? 'viewer';
    const ended = new Promise<CommandRecord>((resolve) => {
      const timer = realClock.after(expiresInS * 1000 + graceMs, () =>
        finish(gateway.grid_id, id, {
          state: 'failed',
          reason:
            underWay.get(id)?.isLetGo === true
              ? 'no word of its end came; whether it was done is not known'
              : 'the gateway did not answer in time; nothing was done',
          read_back: null,
        }),
      );
      const untilMs = realClock.monotonicMs() + expiresInS * 1000;
      underWay.set(id, { record, gateway, untilMs, isLetGo: false, timer, ended: resolve });
    });
    if (presence.state(gateway) === 'up')
      send(gateway, { y: 'command', id, device_id: deviceId, command, value, actor, role });
    else
      finish(gateway.grid_id, id, {
        ...{ state: 'failed', reason: 'the gateway has no link; nothing was sent', read_back: null },
      });
    return { state: 'finished', record: await ended };
  };

  return {
    name: 'commands',
    portOf: (gateway) => ({
      request: (asked) => request(gateway, asked),
      list: () => {
        const enabled = takes.get(gateway.gateway_id);
        const diagnosis = {
          ...{
            device_id: gateway.gateway_id,
            command: diagnoseCommand,
            label: 'how the gateway does',
            role: 'operator',
          },
          ...{ choices: ['now'], number: null, safe: null },
        };
        return {
          enabled: enabled === true,
          offers: enabled === undefined ? [] : [diagnosis],
          records: store.list(gateway.grid_id, mostCommandsListed),
        };
      },
    }),
    hello(gateway, enabled) {
      if (enabled !== takes.get(gateway.gateway_id)) options.abilities.set('commands', gateway.gateway_id, enabled);
      if (enabled === undefined) takes.delete(gateway.gateway_id);
      else takes.set(gateway.gateway_id, enabled);
    },
    ready(gateway, id) {
      const waiting = underWay.get(id);
      // Its word is given once; that of another gateway counts for nothing.
      if (waiting === undefined || waiting.isLetGo || waiting.gateway.gateway_id !== gateway.gateway_id) return;
      const ttlMs = Math.floor(waiting.untilMs - realClock.monotonicMs());
      if (ttlMs <= 0) return;
      waiting.isLetGo = true;
      send(gateway, { y: 'command_go', id, ttl_ms: ttlMs });
    },
    outcome: (gateway, { id, state, reason, read_back }) => finish(gateway.grid_id, id, { state, reason, read_back }),
    took(gridId, { id, state, reason }) {
      if (state === 'sent' || !commandStates.includes(state)) return;
      // On the session lane it says more, and is there already as a rule.
      const kept = store.get(gridId, id);
      if (kept?.state === 'sent' || kept?.state === 'failed')
        finish(gridId, id, { state, reason, read_back: kept.read_back });
    },
    start() {},
    stop() {
      for (const { record, timer, ended } of underWay.values()) {
        timer.cancel();
        ended(record);
      }
      underWay.clear();
    },
  };
}
