/** Asks the ways to a server who is there. Discovery only: it holds no secret, so plain HTTP may carry it. */
import { gatewayAddress, type Clock, type Discovery } from '@villagrid/contracts';

/** How long a way may take to answer, ms. */
const patienceMs = 1500;

/** What became of a way: who answered, null for nobody, undefined where it was not tried. */
export interface Ways {
  /** The page's own origin. */
  readonly own: Discovery | null;
  /** The gateway's fixed address on its own Wi-Fi. */
  readonly address: Discovery | null | undefined;
}

async function whoAnswers(origin: string, clock: Clock): Promise<Discovery | null> {
  const stop = new AbortController();
  const limit = clock.after(patienceMs, () => stop.abort());
  try {
    const response = await fetch(`${origin}/.well-known/villagrid`, {
      cache: 'no-store',
      credentials: 'omit',
      signal: stop.signal,
    });
    const found = (await response.json()) as Partial<Discovery>;
    return response.ok && (found.kind === 'gateway' || found.kind === 'cloud') ? (found as Discovery) : null;
  } catch {
    return null;
  } finally {
    limit.cancel();
  }
}

/**
 * Probes the page's own origin, and the gateway's address where nobody answers there; `all` probes both at once. A phone
 * that is served well is not made to knock at other doors. Never throws.
 */
export async function probeWays(clock: Clock, all: boolean): Promise<Ways> {
  const asked = all ? whoAnswers(gatewayAddress, clock) : undefined;
  const own = await whoAnswers('', clock);
  return { own, address: await (asked ?? (own === null ? whoAnswers(gatewayAddress, clock) : undefined)) };
}
