/** Commands of a mapping, for one device: what is sent for a value, and whether an answer acknowledges it. Pure. */
import type { CommandValue } from '@villagrid/contracts';
import { parsePath, valuesAt } from './path.js';
import type { MappedCommand } from './schema.js';
import { fillTopic } from './topics.js';

/** A value that was checked against a command. */
export interface PreparedCommand {
  readonly send: CommandValue;
  readonly payload: string;
  /** Whether what a device says it has now is what it was told. */
  readonly isDone: (said: CommandValue) => boolean;
}

/** A command with its topics filled in; those are undefined for nodes that speak our own form. */
export interface CompiledCommand {
  readonly spec: MappedCommand;
  readonly topic: string | undefined;
  readonly answerTopic: string | undefined;
  /** The command for a value; a sentence when the value is not allowed. */
  prepare(value: string | number): PreparedCommand | string;
  /** What an answer says the device has now; undefined when it does not tell. */
  readAnswer(payload: string): CommandValue | undefined;
}

const longestAnswer = 64;

/** Compiles a checked command for one device. */
export function compileCommand(spec: MappedCommand, parameters: Readonly<Record<string, string>>): CompiledCommand {
  const path = spec.answer?.path === undefined ? undefined : parsePath(spec.answer.path);
  return {
    spec,
    topic: spec.topic && fillTopic(spec.topic, parameters),
    answerTopic: spec.answer && fillTopic(spec.answer.topic, parameters),
    prepare(value) {
      const { choices, number } = spec;
      if (choices) {
        const name = String(value);
        const choice = Object.hasOwn(choices, name) ? choices[name] : undefined;
        if (!choice) return `${name.slice(0, 40)} is none of ${Object.keys(choices).join(', ')}`;
        return prepared(spec, choice.send, choice.read_back ?? choice.send);
      }
      const { min = 0, max = 0, unit = '' } = number ?? {};
      if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max)
        return `give a number from ${min} to ${max} ${unit}`.trimEnd();
      return prepared(spec, value, value);
    },
    readAnswer(payload) {
      if (!path) return payload.trim().slice(0, longestAnswer);
      try {
        const [said] = valuesAt(JSON.parse(payload), path);
        return typeof said === 'string' ? said.slice(0, longestAnswer) : isPlain(said) ? said : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

const isPlain = (value: unknown): value is number | boolean => typeof value === 'number' || typeof value === 'boolean';

function prepared(spec: MappedCommand, send: CommandValue, wanted: CommandValue): PreparedCommand {
  return {
    send,
    payload: spec.payload.replaceAll('{value}', String(send)),
    isDone: (said) => said === wanted || String(said) === String(wanted) || sameNumber(said, wanted),
  };
}

/** 50, "50" and "50.0" are the same to a device. */
const sameNumber = (a: CommandValue, b: CommandValue): boolean =>
  typeof b === 'number' && String(a).trim() !== '' && Number(a) === b;
