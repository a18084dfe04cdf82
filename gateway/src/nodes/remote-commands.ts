/**
 * Commands that people give at the cloud. Announced, answered, and done only when the cloud then says so: how old its word
 * can be is measured here by a clock that nobody sets. Each is done once at most, and never after its time.
 */
import {
  diagnoseCommand,
  messageOf,
  roleIncludes,
  type Clock,
  type CommandDown,
  type CommandGo,
  type CommandOutcome,
  type CommandReady,
  type CommandRecord,
  type CommandState,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { NodeCommands } from './commands.js';

/** Commands that wait for their word, and how long, real milliseconds. */
const mostWaiting = 20;
const waitMs = 60_000;
/** Longest diagnosis, characters. */
const longestText = 2000;

export interface RemoteCommandsOptions {
  readonly gatewayId: string;
  readonly commands: Pick<NodeCommands, 'fromAfar'>;
  /** How this gateway does, in words. */
  readonly diagnose: () => Promise<string>;
  /** Writes down what is no command of a device; resolves when durable. */
  readonly audit: (
    record: Pick<CommandRecord, 'command_id' | 'device_id' | 'command' | 'value' | 'actor' | 'state' | 'reason'>,
  ) => Promise<unknown>;
  readonly say: (message: CommandReady | CommandOutcome) => void;
  readonly realClock: Clock;
  readonly logger: Logger;
}

interface Waiting {
  readonly message: CommandDown;
  readonly sinceMs: number;
}

/** See the head of this file. */
export class RemoteCommands {
  readonly #options: RemoteCommandsOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Done or under way in this life: the cloud's word for one counts once. */
  readonly #done = new Set<string>();

  constructor(options: RemoteCommandsOptions) {
    this.#options = options;
  }

  /** Announced: nothing is done yet. */
  announced(message: CommandDown): void {
    const { realClock, gatewayId, say } = this.#options;
    const { id, device_id, command, value, actor } = message;
    const isGood =
      [id, device_id, command, actor?.user_id, actor?.name].every(
        (one) => typeof one === 'string' && one.length <= 128,
      ) &&
      (typeof value === 'number' || typeof value === 'string');
    if (!isGood || this.#done.has(id)) return;
    // A copy of it gives it no more time.
    if (this.#waiting.has(id)) return say({ y: 'command_ready', gateway_id: gatewayId, id });
    const nowMs = realClock.monotonicMs();
    for (const [known, { sinceMs }] of this.#waiting)
      if (nowMs - sinceMs > waitMs || this.#waiting.size >= mostWaiting) this.#waiting.delete(known);
    this.#waiting.set(id, { message, sinceMs: nowMs });
    say({ y: 'command_ready', gateway_id: gatewayId, id });
  }

  /** The cloud's word to do it. */
  async go({ id, ttl_ms: ttlMs }: CommandGo): Promise<void> {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || this.#done.has(id) || !Number.isFinite(ttlMs)) return;
    this.#waiting.delete(id);
    this.#done.add(id);
    if (this.#done.size > 1000) this.#done.delete([...this.#done][0] as string);
    const { realClock, logger } = this.#options;
    // It was said after the answer left: no later than that the time began to run.
    const leftMs = Math.min(ttlMs, waitMs) - (realClock.monotonicMs() - waiting.sinceMs);
    const { message } = waiting;
    if (leftMs <= 0) return this.#tell(id, 'failed', 'its time was over when the word to do it came; nothing was done');
    try {
      if (message.command === diagnoseCommand && message.device_id === this.#options.gatewayId)
        return await this.#diagnose(message);
      const { device_id: deviceId, command, value, actor, role } = message;
      const holds = (needed: Parameters<typeof roleIncludes>[1]) => roleIncludes(role, needed);
      const asked = { deviceId, command, value, actor, expiresInS: undefined, holds };
      const record = await this.#options.commands.fromAfar(asked, id, leftMs);
      this.#tell(id, record.state, record.reason, record.read_back);
    } catch (error) {
      logger.error('a command from afar failed', { command_id: id, error });
      this.#tell(id, 'failed', messageOf(error));
    }
  }

  async #diagnose({ id, device_id, command, value, actor }: CommandDown): Promise<void> {
    const { audit, diagnose } = this.#options;
    const text = (await diagnose()).slice(0, longestText);
    await audit({ command_id: id, device_id, command, value, actor, state: 'acknowledged', reason: null });
    this.#tell(id, 'acknowledged', null, text);
  }

  #tell(id: string, state: CommandState, reason: string | null, readBack: string | null = null): void {
    const { gatewayId, say } = this.#options;
    say({ y: 'command_outcome', gateway_id: gatewayId, id, state, reason, read_back: readBack });
  }
}
