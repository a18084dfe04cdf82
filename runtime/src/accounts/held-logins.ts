/** Logins, and ends of logins, that the card would not take: they hold until the next start of the server. */

/** What is held in memory; tokens are known by their SHA-256. */
export interface HeldLogins {
  /** `endsAtMs`: running time at which it ends. The oldest of an account go beyond the most it may have. */
  add(tokenHash: Buffer, userId: string, endsAtMs: number): void;
  /** Whose login it is; undefined when unknown or ended. */
  userOf(tokenHash: Buffer, nowMs: number): string | undefined;
  /** Ends a held login; false when it is not held. */
  end(tokenHash: Buffer): boolean;
  endAllOf(userId: string): void;
  /** A login that is stored has ended, though that could not be written. */
  markEnded(tokenHash: Buffer): void;
  hasEnded(tokenHash: Buffer): boolean;
}

/** Holds at most so many logins of one account. */
export function createHeldLogins(mostPerAccount: number): HeldLogins {
  const logins = new Map<string, { readonly userId: string; readonly endsAtMs: number }>();
  const ended = new Set<string>();
  const name = (hash: Buffer) => hash.toString('hex');
  const namesOf = (userId: string) => [...logins].filter(([, one]) => one.userId === userId).map(([key]) => key);
  return {
    add(tokenHash, userId, endsAtMs) {
      logins.set(name(tokenHash), { userId, endsAtMs });
      for (const key of namesOf(userId).slice(0, -mostPerAccount)) logins.delete(key);
    },
    userOf(tokenHash, nowMs) {
      const login = logins.get(name(tokenHash));
      return login !== undefined && login.endsAtMs > nowMs ? login.userId : undefined;
    },
    end: (tokenHash) => logins.delete(name(tokenHash)),
    endAllOf(userId) {
      for (const key of namesOf(userId)) logins.delete(key);
    },
    markEnded: (tokenHash) => void ended.add(name(tokenHash)),
    hasEnded: (tokenHash) => ended.has(name(tokenHash)),
  };
}
