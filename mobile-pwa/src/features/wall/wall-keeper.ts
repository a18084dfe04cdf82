/** What an old phone on the wall needs of the browser: a screen that stays on, and a sound. Both need one tap first. */

/** How it goes. */
export interface WallKeeper {
  /** Called from a tap: only then may a page make sound. */
  start(): Promise<void>;
  readonly awake: () => boolean;
  readonly started: () => boolean;
  /** Rings once: two tones, loud. Nothing before `start`. */
  ring(): void;
  stop(): void;
}

/** Makes one; `changed` is called when it came to hold the screen or lost it. */
export function createWallKeeper(changed: () => void): WallKeeper {
  let lock: WakeLockSentinel | undefined;
  let audio: AudioContext | undefined;
  let over = false;
  const hold = async () => {
    if (over || document.visibilityState !== 'visible' || (lock !== undefined && !lock.released)) return;
    try {
      lock = await navigator.wakeLock.request('screen');
      lock.addEventListener('release', changed);
      if (over) void lock.release();
    } catch {
      // Refused for lack of battery, or not known to this browser: said on the screen.
      lock = undefined;
    }
    changed();
  };
  // The browser takes the lock away whenever the page is hidden.
  const shown = () => void hold();
  document.addEventListener('visibilitychange', shown);
  void hold();
  return {
    async start() {
      audio ??= new AudioContext();
      await Promise.all([audio.resume(), hold()]);
      changed();
    },
    awake: () => lock !== undefined && !lock.released,
    started: () => audio?.state === 'running',
    ring() {
      if (audio === undefined) return;
      const gain = audio.createGain();
      gain.gain.value = 0.9;
      gain.connect(audio.destination);
      for (const [at, hertz] of [
        [0, 880],
        [0.35, 660],
        [0.7, 880],
        [1.05, 660],
      ] as const) {
        const tone = audio.createOscillator();
        tone.type = 'square';
        tone.frequency.value = hertz;
        tone.connect(gain);
        tone.start(audio.currentTime + at);
        tone.stop(audio.currentTime + at + 0.3);
      }
    },
    stop() {
      over = true;
      document.removeEventListener('visibilitychange', shown);
      void lock?.release().catch(() => {});
      void audio?.close().catch(() => {});
    },
  };
}
