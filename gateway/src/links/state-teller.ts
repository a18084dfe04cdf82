/** Tells listeners whether a line is there; each change of state or reason once. */
type Listener = (state: 'up' | 'down', reason: string) => void;

/** Listeners of one link. */
export class StateTeller {
  readonly #listeners = new Set<Listener>();
  #told = '';

  /** Adds a listener; returns how to remove it. */
  add(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(state: 'up' | 'down', reason: string): void {
    const told = `${state} ${reason}`;
    if (told === this.#told) return;
    this.#told = told;
    for (const listener of [...this.#listeners]) listener(state, reason);
  }
}
