/**
 * Remote commands. A command is asked for, said yes to, written down, sent once, and has ended when the device answers or
 * its time is over. What was not acknowledged has failed and is never sent again; whether it was done is then not known.
 */
import type { CommandAsked } from '@villagrid/api';
import {
  mostCommandsListed,
  longestCommandS,
  messageOf,
  newId,
  parseNodeAck,
  topics,
  VillagridError,
  type Clock,
  type CommandAnswer,
  type CommandList,
  type CommandRecord,
  type CommandState,
  type CommandValue,
  type NodeCommand,
  type RandomSource,
  type Timer,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { CompiledCommand, PreparedCommand } from '../mappings/index.js';
import type { MappedCommand } from '../mappings/schema.js';

/** How long a person may think about it, real milliseconds. */
const confirmWithinMs = 60_000;
/** Questions that wait for a yes, and commands under way; more are turned away. */
const mostQuestions = 100;
const mostUnderWay = 50;

/** Where records are kept; durable when `put` returns. */
export interface CommandRecords {
  put(record: CommandRecord): void;
  get(commandId: string): CommandRecord | undefined;
  list(limit: number): CommandRecord[];
}

/** How a command that the gateway carries out itself ended. */
export interface Performed {
  readonly state: Exclude<CommandState, 'sent'>;
  readonly reason: string | null;
  readonly said?: CommandValue | undefined;
}

/** A command that the gateway carries out itself, by writing to a device that it polls. */
export interface DirectCommand {
  readonly spec: Pick<MappedCommand, 'name' | 'label' | 'role' | 'choices' | 'number' | 'safe'>;
  /** The command for a value; a sentence when the value is not allowed. */
  prepare(value: string | number): PreparedCommand | string;
  /** Does it, once; `withinMs` real milliseconds are left. Does not reject. */
  perform(prepared: PreparedCommand, withinMs: number): Promise<Performed>;
}

type AnyCommand = CompiledCommand | DirectCommand;
const isDirect = (command: AnyCommand): command is DirectCommand => 'perform' in command;

/** A device that can be told something. */
export interface CommandedDevice {
  readonly deviceId: string;
  readonly name: string;
  readonly commands: readonly AnyCommand[];
}

export interface NodeCommandsOptions {
  readonly enabled: boolean;
  /** Seconds a command lives when nothing else is asked. */
  readonly expiresInS: number;
  readonly gridId: string;
  readonly devices: readonly CommandedDevice[];
  readonly isDevice: (deviceId: string) => boolean;
  readonly records: CommandRecords;
  /** Whether the device has a connection now. */
  readonly isConnected: (deviceId: string) => boolean;
  readonly publish: (topic: string, payload: string) => Promise<void>;
  /** Writes a command's state to the log; resolves when durable. */
  readonly audit: (record: CommandRecord, nowMs: number) => Promise<unknown>;
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
}

interface UnderWay {
  record: CommandRecord;
  readonly command: AnyCommand;
  readonly prepared: PreparedCommand;
  readonly timer: Timer;
  readonly ended: (record: CommandRecord) => void;
}

/** Counters since the start. */
export interface CommandCounters {
  readonly by: Record<CommandState, number>;
  /** Answers to what had ended already. */
  repeatedAnswers: number;
}

/** See the head of this file. */
export class NodeCommands {
  readonly #options: NodeCommandsOptions;
  readonly #questions = new Map<string, { readonly key: string; readonly untilMs: number }>();
  readonly #underWay = new Map<string, UnderWay>();
  readonly counters: CommandCounters = {
    by: { sent: 0, acknowledged: 0, refused: 0, failed: 0 },
    repeatedAnswers: 0,
  };

  constructor(options: NodeCommandsOptions) {
    this.#options = options;
    // What was under way when the gateway stopped is not sent again, and nobody listens for its answer any more.
    for (const record of options.records.list(mostCommandsListed))
      if (record.state === 'sent')
        this.#note({ ...record, state: 'failed', reason: 'the gateway stopped before the device answered' });
  }

  /** Asks for a yes, or sends and waits for the end. Throws as `CommandPort.request` says. */
  async request(asked: CommandAsked): Promise<CommandAnswer> {
    const { device, command, prepared } = this.#check(asked);
    const key = JSON.stringify([asked.actor.user_id, asked.deviceId, asked.command, asked.value]);
    if (asked.confirmation === undefined) return this.#ask(key, device, command, asked.value);
    this.#confirm(key, asked.confirmation);
    const expiresInS = Math.min(asked.expiresInS ?? this.#options.expiresInS, longestCommandS);
    const id = newId(Math.floor(this.#options.clock.nowMs()), this.#options.random);
    return { state: 'finished', record: await this.#carryOut(asked, { command, prepared }, id, expiresInS * 1000) };
  }

  /**
   * A command that a person gave and confirmed elsewhere, with `lifeMs` real milliseconds left. Its id is done with once:
   * asked again, it gives what became of it and does nothing. Does not reject for what a person did wrong: that is refused.
   */
  async fromAfar(asked: Omit<CommandAsked, 'confirmation'>, id: string, lifeMs: number): Promise<CommandRecord> {
    const known = this.#options.records.get(id);
    if (known) return known;
    try {
      const checked = this.#check({ ...asked, confirmation: undefined });
      return await this.#carryOut(asked, checked, id, Math.min(lifeMs, longestCommandS * 1000));
    } catch (error) {
      if (!(error instanceof VillagridError)) throw error;
      const written = this.#options.records.get(id);
      return written ?? this.#end(this.#recordOf(asked, id, lifeMs), 'refused', error.detail);
    }
  }

  #recordOf(
    { deviceId, command, value, actor }: Pick<CommandAsked, 'deviceId' | 'command' | 'value' | 'actor'>,
    id: string,
    lifeMs: number,
  ): CommandRecord {
    return {
      command_id: id,
      device_id: deviceId,
      command,
      value,
      state: 'sent',
      reason: null,
      read_back: null,
      actor,
      sent_at_ms: Math.floor(this.#options.clock.nowMs()),
      expires_in_s: Math.max(1, Math.ceil(lifeMs / 1000)),
      finished_at_ms: null,
      late_answer: false,
    };
  }

  /** Writes it down, sends it once, and waits for its end. Throws E_CONFLICT and E_NOT_DURABLE. */
  async #carryOut(
    asked: Omit<CommandAsked, 'confirmation'>,
    { command, prepared }: { readonly command: AnyCommand; readonly prepared: PreparedCommand },
    id: string,
    lifeMs: number,
  ): Promise<CommandRecord> {
    const { publish, gridId, audit } = this.#options;
    const present = [...this.#underWay.values()].some(
      ({ record }) => record.device_id === asked.deviceId && record.command === asked.command,
    );
    if (present || this.#underWay.size >= mostUnderWay)
      throw new VillagridError('E_CONFLICT', 'Another command is under way; wait for its end.');
    const record = this.#recordOf(asked, id, lifeMs);
    const nowMs = record.sent_at_ms;
    if (!this.#options.isConnected(asked.deviceId)) {
      return this.#end(record, 'failed', 'the device is not connected; nothing was sent');
    }
    const ended = new Promise<CommandRecord>((resolve) => {
      // Counted from before it is written down: the device gets what is left of it.
      const timer = this.#options.realClock.after(lifeMs, () =>
        this.#finish(
          record.command_id,
          'failed',
          `no answer within ${record.expires_in_s} s; whether it was done is not known`,
        ),
      );
      this.#underWay.set(record.command_id, { record, command, prepared, timer, ended: resolve });
    });
    const sinceMs = this.#options.realClock.monotonicMs();
    try {
      // Written down before it is sent: nothing is done that nobody can find out about.
      this.#note(record);
      await audit(record, nowMs);
    } catch (error) {
      this.#finish(record.command_id, 'failed', 'it could not be written down, so it was not sent');
      throw error;
    }
    const leftMs = lifeMs - (this.#options.realClock.monotonicMs() - sinceMs);
    if (isDirect(command)) {
      if (this.#underWay.has(record.command_id))
        void command
          .perform(prepared, Math.max(0, leftMs))
          .then(({ state, reason, said }) => this.#finish(record.command_id, state, reason, said));
    } else if (this.#underWay.has(record.command_id)) {
      const message: NodeCommand = {
        v: 1,
        type: 'command',
        id: record.command_id,
        command: asked.command,
        value: prepared.send,
        ttl_ms: Math.max(0, Math.floor(leftMs)),
      };
      const { topic } = command;
      await publish(
        topic ?? topics.command(gridId, asked.deviceId),
        topic === undefined ? JSON.stringify(message) : prepared.payload,
      ).catch((error: unknown) =>
        this.#finish(record.command_id, 'failed', `it could not be sent: ${messageOf(error)}`),
      );
    }
    return ended;
  }

  /** A node of ours answers. What has ended, is somebody else's or not understood changes nothing. */
  acknowledged(deviceId: string, payload: string): void {
    const ack = parseNodeAck(payload);
    if (!ack) return;
    const underWay = this.#underWay.get(ack.id);
    const ofNode = underWay && !isDirect(underWay.command) && underWay.command.topic === undefined;
    if (!ofNode || underWay.record.device_id !== deviceId) {
      this.#answeredAgain(deviceId, ack.id);
      return;
    }
    const { value } = ack;
    if (!ack.ok) this.#finish(ack.id, 'refused', ack.reason ?? 'the device refused it', value);
    else if (value !== undefined && !underWay.prepared.isDone(value))
      this.#finish(ack.id, 'refused', `the device says it has ${String(value)} now`, value);
    else this.#finish(ack.id, 'acknowledged', null, value);
  }

  /** Something was said on a topic of a device with a firmware of its own: perhaps an answer. */
  heard(deviceId: string, topic: string, payload: string): void {
    for (const { record, command, prepared } of this.#underWay.values()) {
      if (record.device_id !== deviceId || isDirect(command) || command.answerTopic !== topic) continue;
      const said = command.readAnswer(payload);
      if (said !== undefined && prepared.isDone(said)) this.#finish(record.command_id, 'acknowledged', null, said);
    }
  }

  /** What can be told, and what was. */
  list(): Omit<CommandList, 'grid_id'> {
    const { enabled, devices, records } = this.#options;
    const offers = devices.flatMap(({ deviceId, commands }) =>
      commands.map(({ spec: { name, label, role, choices, number, safe } }) => ({
        device_id: deviceId,
        command: name,
        label,
        role,
        choices: choices ? Object.keys(choices) : null,
        number: number ? { min: number.min, max: number.max, unit: number.unit ?? null } : null,
        safe: safe ?? null,
      })),
    );
    return { enabled, offers: enabled ? offers : [], records: records.list(mostCommandsListed) };
  }

  /** Ends what is under way: nobody will hear an answer. */
  stop(): void {
    for (const id of [...this.#underWay.keys()])
      this.#finish(id, 'failed', 'the gateway stopped before the device answered');
  }

  #check({ deviceId, command: name, value, holds, actor }: CommandAsked) {
    const { enabled, devices, isDevice } = this.#options;
    if (!enabled) throw new VillagridError('E_COMMANDS_OFF', 'commands.enabled is false.');
    if (!isDevice(deviceId)) throw new VillagridError('E_DEVICE_NOT_FOUND', `There is no device "${deviceId}".`);
    const device = devices.find((one) => one.deviceId === deviceId);
    const command = device?.commands.find(({ spec }) => spec.name === name);
    if (!device || !command) {
      const known = device?.commands.map(({ spec }) => spec.name).join(', ') || 'none';
      throw new VillagridError('E_COMMAND_UNKNOWN', `Commands of ${deviceId}: ${known}.`);
    }
    if (!holds(command.spec.role)) {
      this.#options.logger.warn('somebody asked for a command that their role does not allow', {
        device_id: deviceId,
        command: name,
        user_id: actor.user_id,
      });
      throw new VillagridError('E_FORBIDDEN', `This command needs the role ${command.spec.role}.`);
    }
    const prepared = command.prepare(value);
    if (typeof prepared === 'string') throw new VillagridError('E_REQUEST_INVALID', `body.value: ${prepared}.`);
    return { device, command, prepared };
  }

  #ask(key: string, device: CommandedDevice, { spec }: AnyCommand, value: string | number): CommandAnswer {
    const { realClock, random } = this.#options;
    const nowMs = realClock.monotonicMs();
    for (const [token, { untilMs }] of this.#questions)
      if (untilMs <= nowMs || this.#questions.size >= mostQuestions) this.#questions.delete(token);
    const confirmation = Buffer.from(random.bytes(18)).toString('base64url');
    this.#questions.set(confirmation, { key, untilMs: nowMs + confirmWithinMs });
    const unit = spec.number?.unit === undefined ? '' : ` ${spec.number.unit}`;
    return {
      state: 'needs_confirmation',
      question: `${device.name} (${device.deviceId}): ${spec.label}: ${value}${unit}?`,
      confirmation,
    };
  }

  /** A yes holds once, for the same person, device, command and value. */
  #confirm(key: string, confirmation: string): void {
    const question = this.#questions.get(confirmation);
    this.#questions.delete(confirmation);
    if (question?.key !== key || question.untilMs <= this.#options.realClock.monotonicMs())
      throw new VillagridError(
        'E_CONFLICT',
        'The confirmation is not for this, was used, or is older than a minute; ask again without one.',
      );
  }

  #finish(id: string, state: CommandState, reason: string | null, said?: CommandValue): void {
    const underWay = this.#underWay.get(id);
    if (!underWay) return;
    this.#underWay.delete(id);
    underWay.timer.cancel();
    underWay.ended(this.#end(underWay.record, state, reason, said));
  }

  /** Writes down the end. Nobody waits for the log here: the record itself is durable. */
  #end(record: CommandRecord, state: CommandState, reason: string | null, said?: CommandValue): CommandRecord {
    const nowMs = Math.floor(this.#options.clock.nowMs());
    const ended: CommandRecord = {
      ...record,
      state,
      reason,
      read_back: said === undefined ? null : String(said),
      finished_at_ms: nowMs,
    };
    this.counters.by[state] += 1;
    try {
      this.#note(ended);
    } catch (error) {
      this.#options.logger.error('the end of a command could not be written down', {
        command_id: record.command_id,
        error,
      });
    }
    this.#options.audit(ended, nowMs).catch(() => {});
    this.#options.logger.info(`a command was ${state}`, {
      command_id: record.command_id,
      device_id: record.device_id,
      command: record.command,
      value: record.value,
      user_id: record.actor.user_id,
      ...(reason === null ? {} : { reason }),
    });
    return ended;
  }

  #note(record: CommandRecord): void {
    this.#options.records.put(record);
  }

  /** Several answers count once; one that came too late is noted. */
  #answeredAgain(deviceId: string, id: string): void {
    const record = this.#options.records.get(id);
    if (record?.device_id !== deviceId) return;
    this.counters.repeatedAnswers += 1;
    if (record.state === 'failed' && !record.late_answer) this.#note({ ...record, late_answer: true });
  }
}
