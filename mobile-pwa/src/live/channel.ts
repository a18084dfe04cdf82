/**
 * The live channel of one grid: WebSocket first; where it does not open, server-sent events; while neither is there, the
 * summary is asked for every 15 s. Reconnects with growing waits, at once when the page is shown or the network changes, and rests while hidden for a minute.
 */
import { liveHeartbeatMs, type Clock, type LiveFrame, type RandomSource, type Timer } from '@villagrid/contracts';

/** How the grid is followed just now. */
export type ChannelState = 'connecting' | 'live' | 'polling' | 'down';
/** What a live channel is carried by. */
export type Carrier = 'socket' | 'events';

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
  readonly onState: (state: ChannelState, carrier?: Carrier) => void;
  readonly onUnauthorised: () => void;
  /** The line broke: perhaps another server answers now. */
  readonly onLost: () => void;
  readonly poll: () => Promise<boolean>;
}): Channel {
  const { clock, random } = options;
  let socket: WebSocket | undefined;
  let events: { readonly stop: AbortController; live: boolean } | undefined;
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
    if (closed || resting || live()) return;
    options.onState(answered ? 'polling' : 'down');
  }
  function startPolling(): void {
    if (pollTimer !== undefined || closed || resting || live()) return;
    void pollOnce();
    pollTimer = clock.every(pollEveryMs, () => void pollOnce());
  }
  const live = () => socket?.readyState === WebSocket.OPEN || events?.live === true;

  function take(frame: LiveFrame, carrier: Carrier): void {
    lastHeardMs = clock.monotonicMs();
    if (frame.type === 'error') {
      if (/unauth|login|token|credential/i.test(frame.code)) options.onUnauthorised();
      return;
    }
    if (frame.type === 'snapshot') {
      failures = 0;
      stopTimers();
      options.onState('live', carrier);
    }
    options.onFrame(frame);
  }
  /** The line broke or did not come about. */
  function lost(): void {
    if (closed || resting) return;
    openTimer?.cancel();
    failures += 1;
    options.onLost();
    startPolling();
    retryTimer?.cancel();
    const waitMs = 1000 + random.float() * Math.min(29_000, 1000 * 2 ** Math.min(failures, 5));
    retryTimer = clock.after(waitMs, connect);
  }

  function connect(): void {
    if (closed || resting) return;
    drop();
    retryTimer?.cancel();
    retryTimer = undefined;
    const token = options.token();
    if (token === null) return;
    const mine = new WebSocket(options.address);
    let opened = false;
    socket = mine;
    openTimer = clock.after(openWithinMs, () => void openEvents(token));
    mine.onopen = () => {
      opened = true;
      lastHeardMs = clock.monotonicMs();
      mine.send(JSON.stringify({ type: 'authenticate', token }));
    };
    mine.onmessage = ({ data }) => {
      if (socket !== mine) return;
      let frame: LiveFrame;
      try {
        frame = JSON.parse(String(data)) as LiveFrame;
      } catch {
        return;
      }
      take(frame, 'socket');
    };
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = undefined;
      if (opened) lost();
      else void openEvents(token);
    };
  }

  /** The second way: some browsers and networks let no WebSocket through where an ordinary answer comes. */
  async function openEvents(token: string): Promise<void> {
    if (closed || resting || events !== undefined) return;
    drop();
    openTimer?.cancel();
    const stop = new AbortController();
    const mine = { stop, live: false };
    events = mine;
    openTimer = clock.after(openWithinMs, startPolling);
    try {
      const { readEvents } = await import('./server-events.js');
      if (events === mine)
        await readEvents({
          address: options.address.replace(/^ws/, 'http'),
          token,
          signal: stop.signal,
          onUnauthorised: options.onUnauthorised,
          onFrame(frame) {
            if (events !== mine) return;
            mine.live = true;
            take(frame, 'events');
          },
        });
    } catch {
      // This part of the app is not on the phone yet.
    }
    if (events !== mine) return;
    events = undefined;
    lost();
  }

  const drop = () => {
    const old = socket;
    socket = undefined;
    old?.close();
    events?.stop.abort();
    events = undefined;
  };
  // A line that is silent for two heartbeats and a half is dead even if nobody said so.
  const watch = clock.every(5000, () => {
    if (live() && clock.monotonicMs() - lastHeardMs > liveHeartbeatMs * 2.5) reconnect();
  });
  function reconnect(): void {
    stopTimers();
    connect();
  }

  options.onState('connecting');
  connect();
  return {
    poke() {
      if (closed || resting) return;
      if (live() && clock.monotonicMs() - lastHeardMs < liveHeartbeatMs) return;
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
