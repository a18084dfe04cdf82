/** Calls of the API at the page's own origin. Every failure is one of four kinds, so that screens can say what to do. */
import type {
  AlertPage,
  AlertView,
  Clock,
  ClockAnswer,
  DeviceView,
  Discovery,
  GridState,
  History,
  LoginResponse,
  Problem,
  Summary,
} from '@villagrid/contracts';

/** Why a call failed: nobody answered, the login is over, the server refused, or it is in trouble itself. */
export type FailureKind = 'unreachable' | 'unauthorised' | 'refused' | 'server';

/** A failed call. */
export class ApiFailure extends Error {
  readonly kind: FailureKind;
  readonly status: number;
  readonly problem: Partial<Problem> | undefined;
  constructor(kind: FailureKind, status: number, problem?: Partial<Problem>) {
    super(problem?.detail ?? kind);
    this.kind = kind;
    this.status = status;
    this.problem = problem;
  }
}

/** What to ask of a series. */
export interface HistoryQuestion {
  readonly period?: string;
  readonly from?: number;
  readonly to?: number;
  readonly granularity?: string;
  readonly points?: number;
  readonly device?: string;
}

/** The calls the app makes. */
export interface Api {
  discover(): Promise<Discovery>;
  /** Rejects with E_PASSWORD_DUE for a one-time word, until it comes with the password that was chosen instead. */
  login(username: string, password: string, chosen?: string): Promise<LoginResponse>;
  logout(): Promise<void>;
  grids(): Promise<{ grids: GridState[]; now_ms: number }>;
  summary(gridId: string): Promise<Summary>;
  alerts(gridId: string, query?: Readonly<Record<string, string>>): Promise<AlertPage>;
  alert(gridId: string, alertId: string): Promise<AlertView>;
  devices(gridId: string): Promise<{ devices: DeviceView[]; now_ms: number }>;
  history(gridId: string, metrics: readonly string[], question: HistoryQuestion): Promise<History>;
  /** Offers this phone's time to a gateway that does not know it. */
  offerClock(gridId: string): Promise<ClockAnswer>;
  /** A question of a screen that reads its own answers, or what it sends; `limitMs` is how long all of it may take. */
  ask<T>(
    path: string,
    limitMs: number,
    read: (response: Response) => Promise<T>,
    send?: { readonly method: 'POST' | 'PUT' | 'DELETE'; readonly body?: unknown },
  ): Promise<T>;
}

/** How long a call may take before it counts as unanswered, ms. */
const patienceMs = 10_000;
const discoverPatienceMs = 4000;

/** Makes the API of this origin. `token` is asked at each call; `onUnauthorised` is told of each 401 of a logged-in call. */
export function createApi(options: {
  readonly clock: Clock;
  readonly token: () => string | null;
  readonly onUnauthorised: () => void;
}): Api {
  const asJson = async <T>(response: Response): Promise<T> => {
    if (response.headers.get('content-type')?.includes('json') !== true)
      throw new ApiFailure('server', response.status);
    return (await response.json()) as T;
  };
  const call = <T>(method: string, path: string, body?: unknown, limitMs = patienceMs): Promise<T> =>
    answer(method, path, body, limitMs, asJson<T>);

  async function answer<T>(
    method: string,
    path: string,
    body: unknown,
    limitMs: number,
    read: (response: Response) => Promise<T>,
    token = options.token(),
  ): Promise<T> {
    const stop = new AbortController();
    const limit = options.clock.after(limitMs, () => stop.abort());
    const isLogin = path.startsWith('/api/auth/login');
    try {
      const headers: Record<string, string> = { accept: 'application/json' };
      if (token !== null && !isLogin) headers.authorization = `Bearer ${token}`;
      if (body !== undefined) headers['content-type'] = 'application/json';
      const response = await fetch(path, {
        method,
        headers,
        cache: 'no-store',
        signal: stop.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const json = response.headers.get('content-type')?.includes('json') === true;
      if (response.ok) return await read(response);
      const problem = json
        ? ((await response.json().catch(() => undefined)) as Partial<Problem> | undefined)
        : undefined;
      if (response.status === 401 && !isLogin) {
        // A call of a login that was replaced meanwhile must not end the new one.
        if (token === options.token()) options.onUnauthorised();
        throw new ApiFailure('unauthorised', 401, problem);
      }
      const passing = response.status >= 500 || response.status === 408;
      throw new ApiFailure(passing ? 'server' : 'refused', response.status, problem);
    } catch (error) {
      if (error instanceof ApiFailure) throw error;
      throw new ApiFailure('unreachable', 0);
    } finally {
      limit.cancel();
    }
  }
  const part = encodeURIComponent;
  return {
    discover: () => call('GET', '/.well-known/villagrid', undefined, discoverPatienceMs),
    async login(username, password, chosen) {
      const answered = await call<LoginResponse>('POST', '/api/auth/login', { username, password });
      if (answered.user.password_due !== true) return answered;
      if (chosen === undefined) throw new ApiFailure('refused', 403, { code: 'E_PASSWORD_DUE' });
      const own = { present: password, password: chosen };
      return answer('POST', '/api/auth/password', own, patienceMs, asJson<LoginResponse>, answered.token);
    },
    logout: () => call('POST', '/api/auth/logout', {}),
    grids: () => call('GET', '/api/grids'),
    summary: (gridId) => call('GET', `/api/dashboard/summary/${part(gridId)}`),
    alerts: (gridId, query = {}) => call('GET', `/api/alerts/${part(gridId)}?${new URLSearchParams(query)}`),
    alert: (gridId, alertId) => call('GET', `/api/alerts/${part(gridId)}/${part(alertId)}`),
    devices: (gridId) => call('GET', `/api/device/${part(gridId)}/list`),
    history(gridId, metrics, question) {
      const query = new URLSearchParams();
      for (const [key, value] of Object.entries(question)) if (value !== undefined) query.set(key, String(value));
      return call('GET', `/api/historical/${part(gridId)}/${metrics.map(part).join(',')}?${query}`, undefined, 20_000);
    },
    offerClock: (gridId) =>
      call('POST', `/api/clock/${part(gridId)}`, { phone_time_ms: Math.round(options.clock.nowMs()) }),
    ask: (path, limitMs, read, send) => answer(send?.method ?? 'GET', path, send?.body, limitMs, read),
  };
}
