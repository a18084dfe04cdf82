/** The simulator's control socket: its commands are in app.ts. */
export {
  askControl as askSimulator,
  type ControlAnswer,
  type ControlRequest,
  controlSocketPath,
  startControl,
} from '@villagrid/runtime';

/** A document with its names in snake_case, as everything that leaves the process is spelled. */
export function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCased(inner),
    ]),
  );
}
