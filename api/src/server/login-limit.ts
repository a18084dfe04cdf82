/** Limits failing logins per address and per account, on top of the delays of the auth port. */
import { VillagridError, type Clock } from '@villagrid/contracts';

/** Failing tries taken within a window. */
export interface LoginLimits {
  readonly perAddress: number;
  readonly perAccount: number;
  readonly windowMs: number;
}

export const defaultLoginLimits: LoginLimits = { perAddress: 50, perAccount: 10, windowMs: 15 * 60_000 };

/** Most keys remembered; the oldest are forgotten first. */
const maxKeys = 10_000;

/** Counts failing tries; the clock is the real one. */
export class LoginLimiter {
  readonly #clock: Clock;
  readonly #limits: LoginLimits;
  readonly #failures = new Map<string, { count: number; untilMs: number }>();

  constructor(clock: Clock, limits: LoginLimits = defaultLoginLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Throws E_LOGIN_SLOW_DOWN when this address or account has used up its tries. */
  admit(address: string, account: string): void {
    if (
      this.#count(`address ${address}`) >= this.#limits.perAddress ||
      this.#count(accountKey(account)) >= this.#limits.perAccount
    )
      throw new VillagridError('E_LOGIN_SLOW_DOWN', 'Too many logins failed for this name or from this address.');
  }

  /** Notes a failed try. */
  failed(address: string, account: string): void {
    for (const key of [`address ${address}`, accountKey(account)]) {
      const count = this.#count(key);
      const untilMs = this.#failures.get(key)?.untilMs ?? this.#clock.monotonicMs() + this.#limits.windowMs;
      this.#failures.set(key, { count: count + 1, untilMs });
    }
    for (const key of this.#failures.keys()) {
      if (this.#failures.size <= maxKeys) break;
      this.#failures.delete(key);
    }
  }

  /** Notes a login that worked: the account's failures are forgiven, the address's are not. */
  succeeded(account: string): void {
    this.#failures.delete(accountKey(account));
  }

  #count(key: string): number {
    const entry = this.#failures.get(key);
    if (entry === undefined) return 0;
    if (this.#clock.monotonicMs() < entry.untilMs) return entry.count;
    this.#failures.delete(key);
    return 0;
  }
}

const accountKey = (account: string): string => `account ${account.toLowerCase()}`;
