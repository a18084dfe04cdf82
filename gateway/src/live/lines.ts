/** Lines that several devices share, and which of them are down: one cause, one alert. */
export class Lines {
  readonly #down = new Map<string, readonly string[]>();

  /** A line with these devices came up or went down. */
  set(line: string, state: 'up' | 'down', deviceIds: readonly string[]): void {
    if (state === 'down') this.#down.set(line, deviceIds);
    else this.#down.delete(line);
  }

  get downCount(): number {
    return this.#down.size;
  }

  /** Whether a device cannot be heard because its line is down. */
  keepsBack(deviceId: string): boolean {
    for (const ids of this.#down.values()) if (ids.includes(deviceId)) return true;
    return false;
  }
}
