/**
 * InfluxDB over HTTP: written by the official client over /api/v2/write, read by InfluxQL over /query, which every product
 * from 1.8 to Cloud and 3 answers. Nothing is buffered or tried again here: that is the caller's affair.
 */
import { HttpError, InfluxDB, type Transport, type WriteApi } from '@influxdata/influxdb-client';
import { messageOf, type Clock } from '@villagrid/contracts';
import type { AnsweredSeries } from './lines.js';

export interface InfluxSettings {
  /** Without a path's last `/`. */
  readonly url: string;
  readonly org: string;
  readonly bucket: string;
  /** Name of the database that InfluxQL reads: of the bucket's mapping. */
  readonly database: string;
  readonly token: string | undefined;
}

/**
 * Why InfluxDB did not do what it was asked: `points` it refuses what it was given, `settings` it refuses whoever asks,
 * `away` it may do it later.
 */
export class InfluxFailure extends Error {
  readonly kind: 'points' | 'settings' | 'away';
  /** How long it wants to be left alone, milliseconds. */
  readonly retryAfterMs: number;

  constructor(kind: InfluxFailure['kind'], message: string, retryAfterMs = 0) {
    super(message.slice(0, 500));
    this.name = 'InfluxFailure';
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface InfluxClient {
  /** Writes lines with times in seconds; resolves when all are in. Throws InfluxFailure. */
  write(lines: readonly string[]): Promise<void>;
  /** Answers a SELECT or SHOW. Throws InfluxFailure. */
  query(question: string): Promise<readonly AnsweredSeries[]>;
  /** Does what changes something, as DELETE. Throws InfluxFailure. */
  command(statement: string): Promise<void>;
}

/** Most lines of one write. */
export const mostLines = 5000;
const timeoutMs = 15_000;

/** Makes the client; connects to nothing yet. */
export function createInfluxClient(settings: InfluxSettings, realClock: Clock): InfluxClient {
  const { url, org, bucket, database, token } = settings;
  const connection = { url, timeout: timeoutMs, ...(token === undefined ? {} : { token }) };
  // The client takes 201 for written; InfluxDB 3 says so when it took only some.
  let status: number | undefined;
  const inner = new InfluxDB(connection).transport;
  const transport: Transport = {
    chunkCombiner: inner.chunkCombiner,
    request: inner.request.bind(inner),
    iterate: inner.iterate.bind(inner),
    send: (path, body, options, callbacks) =>
      inner.send(path, body, options, {
        ...callbacks,
        responseStarted(headers, statusCode) {
          status = statusCode;
          callbacks?.responseStarted?.(headers, statusCode);
        },
      }),
  };
  let api: WriteApi | undefined;
  const open = (): WriteApi =>
    (api ??= new InfluxDB({ ...connection, transport }).getWriteApi(org, bucket, 's', {
      // Larger than any batch: it is sent by flush alone, whose promise tells what became of it.
      batchSize: mostLines + 1,
      flushInterval: 0,
      maxRetries: 0,
      // Otherwise it writes to the console.
      writeFailed: (error) => Promise.reject(error),
    }));

  const ask = async (method: 'GET' | 'POST', q: string): Promise<readonly AnsweredSeries[]> => {
    const query = new URLSearchParams({ db: database, epoch: 'ms', q });
    const late = new AbortController();
    const timer = realClock.after(timeoutMs, () => late.abort(new Error('it does not answer in time')));
    try {
      const response = await fetch(`${url}/query?${query}`, {
        method,
        signal: late.signal,
        headers: { accept: 'application/json', ...(token === undefined ? {} : { authorization: `Token ${token}` }) },
      });
      const body = await response.text();
      if (!response.ok) throw failureOf(response.status, body, response.headers.get('retry-after'), 'settings');
      return seriesOf(body);
    } catch (error) {
      throw error instanceof InfluxFailure ? error : new InfluxFailure('away', causeOf(error));
    } finally {
      timer.cancel();
    }
  };

  return {
    async write(lines) {
      if (lines.length > mostLines) throw new RangeError(`${lines.length} lines in one write`);
      status = undefined;
      try {
        const writer = open();
        writer.writeRecords([...lines]);
        await writer.flush();
      } catch (error) {
        if (!(error instanceof HttpError)) throw new InfluxFailure('away', causeOf(error));
        const retryAfter = error.headers?.['retry-after'];
        throw failureOf(error.statusCode, error.body || error.message, String(retryAfter ?? ''), 'points');
      }
      if (status === 201) throw new InfluxFailure('points', 'only some of the points were taken');
    },
    query: (question) => ask('GET', question),
    command: async (statement) => void (await ask('POST', statement)),
  };
}

/** What an answer other than success means; `badRequest` is what 400 is about. */
function failureOf(
  status: number,
  body: string,
  retryAfter: string | null,
  badRequest: 'points' | 'settings',
): InfluxFailure {
  const message = `${status}: ${said(body)}`;
  if (status === 400 || status === 413 || status === 422) return new InfluxFailure(badRequest, message);
  if (status === 401 || status === 403 || status === 404 || status === 405)
    return new InfluxFailure('settings', message);
  // In seconds; a date would be one more clock to trust.
  const seconds = Number(retryAfter || 0);
  return new InfluxFailure('away', message, Number.isFinite(seconds) ? Math.min(600, Math.max(0, seconds)) * 1000 : 0);
}

/** The text in an answer, which may be JSON. */
function said(body: string): string {
  try {
    const { message, error } = JSON.parse(body) as { message?: unknown; error?: unknown };
    return String(message ?? error ?? body);
  } catch {
    return body;
  }
}

/** fetch and http hide why behind a cause or in several errors. */
function causeOf(error: unknown): string {
  const { cause, errors, code } = (error ?? {}) as { cause?: unknown; errors?: unknown; code?: unknown };
  if (cause !== undefined) return causeOf(cause);
  if (Array.isArray(errors) && errors.length > 0) return causeOf(errors[0]);
  return messageOf(error) || String(code);
}

function seriesOf(body: string): readonly AnsweredSeries[] {
  const answer = JSON.parse(body) as {
    error?: string;
    results?: ReadonlyArray<{ error?: string; series?: readonly (AnsweredSeries & { partial?: boolean })[] }>;
  };
  const all: AnsweredSeries[] = [];
  if (answer.error !== undefined) throw new InfluxFailure('settings', answer.error);
  for (const { error, series = [] } of answer.results ?? []) {
    if (error !== undefined) throw new InfluxFailure('settings', error);
    for (const one of series) {
      if (one.partial === true)
        throw new InfluxFailure('settings', 'it gives only part of the answer: raise max-row-limit');
      all.push(one);
    }
  }
  return all;
}
