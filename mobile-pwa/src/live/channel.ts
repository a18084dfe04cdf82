/**
 * The live channel of one grid: WebSocket first; while it is not open, the summary is asked for every 15 s; reconnects
 * with growing waits, at once when the page is shown or the network changes, and rests while hidden for a minute.
 */
import { liveHeartbeatMs, type Clock, type LiveFrame, type RandomSource, type Timer } from '@villagrid/contracts';

/** How the grid is followed just now. */
export type ChannelState = 'connecting' | 'live' | 'polling' | 'down';

/** A running channel. */
export interface Channel {
  /** Try at once: the page was shown, the network changed, the person asked. */
  poke(): void;
  /** Told when the page is hidden or shown. */
  visible(shown: boolean): void;
  close(): void;
}

/** How long a socket may take to open before polling starts, and between polls, ms. */
const openWithinMs = 3000;
const pollEveryMs = 15_000;
const restAfterHiddenMs = 60_000;

/** Opens the channel. `poll` asks for the summary once and says whether somebody answered. */
export function openChannel(options: {
  readonly gridId: string;
  readonly address: string;
  readonly token: () => string | null;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly onFrame: (frame: LiveFrame) => void;
  readonly onState: (state: ChannelState) => void;
  readonly onUnauthorised: () => void;
  /** The line broke: perhaps another server answers now. */
  readonly onLost: () => void;
  readonly poll: () => Promise<boolean>;
}): Channel {
  const { clock, random } = options;
  let socket: WebSocket | undefined;
  let closed = false;
  let resting = false;
  let failures = 0;
  let lastHeardMs = clock.monotonicMs();
  let openTimer: Timer | undefined;
  let retryTimer: Timer | undefined;
  let pollTimer: Timer | undefined;
  let hiddenTimer: Timer | undefined;

  const stopTimers = () => {
    for (const timer of [openTimer, retryTimer, pollTimer]) timer?.cancel();
    openTimer = retryTimer = pollTimer = undefined;
  };

  async function pollOnce(): Promise<void> {
    const answered = await options.poll();
    if (closed || resting || socket?.readyState === WebSocket.OPEN) return;
    options.onState(answered ? 'polling' : 'down');
  }
  function startPolling(): void {
    if (pollTimer !== undefined || closed || resting) return;
    void pollOnce();
    pollTimer = clock.every(pollEveryMs, () => void pollOnce());
  }

  function connect(): void {
    if (closed || resting) return;
    retryTimer?.cancel();
    retryTimer = undefined;
    const token = options.token();
    if (token === null) return;
    const mine = new WebSocket(options.address);
    socket = mine;
    openTimer = clock.after(openWithinMs, startPolling);
    mine.onopen = () => {
      lastHeardMs = clock.monotonicMs();
      mine.send(JSON.stringify({ type: 'authenticate', token }));
    };
    mine.onmessage = ({ data }) => {
      if (socket !== mine) return;
      lastHeardMs = clock.monotonicMs();
      let frame: LiveFrame;
      try {
        frame = JSON.parse(String(data)) as LiveFrame;
      } catch {
        return;
      }
      if (frame.type === 'error') {
        if (/unauth|login|token|credential/i.test(frame.code)) options.onUnauthorised();
        return;
      }
      if (frame.type === 'snapshot') {
        failures = 0;
        openTimer?.cancel();
        pollTimer?.cancel();
        pollTimer = undefined;
        options.onState('live');
      }
      options.onFrame(frame);
    };
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = undefined;
      if (closed || resting) return;
      openTimer?.cancel();
      failures += 1;
      options.onLost();
      startPolling();
      const waitMs = 1000 + random.float() * Math.min(29_000, 1000 * 2 ** Math.min(failures, 5));
      retryTimer = clock.after(waitMs, connect);
    };
  }

  const drop = () => {
    const old = socket;
    socket = undefined;
    old?.close();
  };
  // A line that is silent for two heartbeats and a half is dead even if nobody said so.
  const watch = clock.every(5000, () => {
    if (socket?.readyState === WebSocket.OPEN && clock.monotonicMs() - lastHeardMs > liveHeartbeatMs * 2.5) reconnect();
  });
  function reconnect(): void {
    drop();
    stopTimers();
    connect();
  }

  options.onState('connecting');
  connect();
  return {
    poke() {
      if (closed || resting) return;
      if (socket?.readyState === WebSocket.OPEN && clock.monotonicMs() - lastHeardMs < liveHeartbeatMs) return;
      failures = 0;
      reconnect();
      void pollOnce();
    },
    visible(shown) {
      hiddenTimer?.cancel();
      if (!shown) {
        hiddenTimer = clock.after(restAfterHiddenMs, () => {
          resting = true;
          stopTimers();
          drop();
        });
        return;
      }
      if (resting) {
        resting = false;
        failures = 0;
        options.onState('connecting');
        connect();
      } else this.poke();
    },
    close() {
      closed = true;
      watch.cancel();
      hiddenTimer?.cancel();
      stopTimers();
      drop();
    },
  };
}
