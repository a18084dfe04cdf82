/** What a gateway and a node of ours say to each other beside telemetry: commands and their answers, and the time. */
import { isRecord } from '../json/record.js';
import { isTrusted, type ClockTrust } from '../ports/clock.js';

/** A value a command carries. */
export type CommandValue = string | number | boolean;

/** A command to a node. A node that gets it later than `ttl_ms` after it was sent must not do it; it is never sent again. */
export interface NodeCommand {
  readonly v: 1;
  readonly type: 'command';
  readonly id: string;
  readonly command: string;
  readonly value: CommandValue;
  readonly ttl_ms: number;
}

/** A node's answer to a command: done with the value it has now, or refused with a reason. */
export interface NodeAck {
  readonly id: string;
  readonly ok: boolean;
  readonly value: CommandValue | undefined;
  readonly reason: string | undefined;
}

/** The time for a node that asked. `now_ms` is left out while the village does not know it. */
export interface NodeTime {
  readonly v: 1;
  readonly type: 'time';
  readonly trusted: boolean;
  readonly trust: ClockTrust;
  readonly now_ms?: number;
  /** What the node said in its question, so that it can take off the way there and back. */
  readonly up?: number;
}

const longestReason = 200;

const isValue = (value: unknown): value is CommandValue =>
  typeof value === 'string' ? value.length <= longestReason : typeof value === 'boolean' || Number.isFinite(value);

function document(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Parses a node's answer; undefined when it has not the form. */
export function parseNodeAck(text: string): NodeAck | undefined {
  const said = document(text);
  if (!said || typeof said.id !== 'string' || said.id.length > 64 || typeof said.ok !== 'boolean') return undefined;
  return {
    id: said.id,
    ok: said.ok,
    value: isValue(said.value) ? said.value : undefined,
    reason: typeof said.reason === 'string' ? said.reason.slice(0, longestReason) : undefined,
  };
}

/** The answer to a question for the time. An empty question is one too; `up` in it comes back. */
export function nodeTime(question: string, nowMs: number, trust: ClockTrust): NodeTime {
  const up = document(question)?.up;
  const trusted = isTrusted(trust);
  return {
    v: 1,
    type: 'time',
    trusted,
    trust,
    ...(trusted ? { now_ms: Math.round(nowMs) } : {}),
    ...(typeof up === 'number' && Number.isFinite(up) ? { up } : {}),
  };
}
