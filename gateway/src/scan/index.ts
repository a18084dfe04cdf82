/** The scan: who is on a line, and which profile reads it. */
export * from './scan.js';
export * from './usual.js';
export type { SunspecIdentity } from './sunspec-identity.js';
