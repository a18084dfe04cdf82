/** Backups of a gateway: what the command line uses of this room. */
export * from './make.js';
export * from './restore.js';
export type { BackupInfo } from './parts.js';
