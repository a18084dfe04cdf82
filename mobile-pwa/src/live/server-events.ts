/** The live channel as server-sent events, read by fetch so that the token goes in a header. Loaded where no WebSocket opens. */
import type { LiveFrame } from '@villagrid/contracts';

/** Frames in a text of events, and what is left of it. */
export function framesIn(text: string): { readonly frames: LiveFrame[]; readonly rest: string } {
  const events = text.split('\n\n');
  const rest = events.pop() ?? '';
  const frames = events.flatMap((event) => {
    const data = event
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trim())
      .join('\n');
    try {
      return data === '' ? [] : [JSON.parse(data) as LiveFrame];
    } catch {
      return [];
    }
  });
  return { frames, rest };
}

/** Reads until the stream or `signal` ends it. `onUnauthorised` is told when the token is refused. Never throws. */
export async function readEvents(options: {
  readonly address: string;
  readonly token: string;
  readonly signal: AbortSignal;
  readonly onFrame: (frame: LiveFrame) => void;
  readonly onUnauthorised: () => void;
}): Promise<void> {
  const { address, token, signal, onFrame } = options;
  try {
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` };
    const response = await fetch(address, { headers, signal, cache: 'no-store' });
    if (response.status === 401) options.onUnauthorised();
    const events = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (!response.ok || !events || response.body === null) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) return;
      const { frames, rest } = framesIn(text + value);
      text = rest;
      for (const frame of frames) onFrame(frame);
    }
  } catch {
    // Nobody answers, or the line broke: the caller goes on.
  }
}
