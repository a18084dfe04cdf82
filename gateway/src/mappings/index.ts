/** Payload mappings: the form, reading them, and what becomes of a message. */
export * from './apply.js';
export * from './commands.js';
export * from './load.js';
export type { Mapping } from './schema.js';
export * from './topics.js';
