/** A lock that this process has, or the pid of the living process that has it. */
export type Lock = { readonly release: () => void; readonly pid?: never } | { readonly pid: number };
/**
 * Takes the lock, or tells who has it. A lock whose owner is gone is taken over.
 * Throws what the file system throws when nothing can be written there.
 */
export function takeLock(path: string): Lock;
