/** Errors as people and clients see them: problem documents (RFC 9457) from the catalogue, never a stack. */
import { errorCatalogue, VillagridError, type ErrorCode, type Problem } from '@villagrid/contracts';

/** Content type of a problem document. */
export const problemType = 'application/problem+json; charset=utf-8';

/** A problem document for a catalogued error; `next` is for where more is known than the catalogue can say. */
export function problemDocument(
  code: ErrorCode,
  detail: string,
  correlationId: string,
  next: string = errorCatalogue[code].next,
): Problem {
  const { status, title } = errorCatalogue[code];
  return {
    type: `urn:villagrid:error:${code}`,
    title,
    status,
    code,
    detail,
    next,
    correlation_id: correlationId,
  };
}

/** Seconds a refused client should wait, by code; undefined when waiting does not help. */
export function retryAfterS(code: ErrorCode): number | undefined {
  if (code === 'E_LOGIN_SLOW_DOWN') return 60;
  if (code === 'E_RATE_LIMIT' || code === 'E_BUSY') return 5;
  return undefined;
}

/** Turns whatever was thrown into a catalogued error; `unexpected` ones belong in the log with their stack. */
export function classifyError(error: unknown): { readonly error: VillagridError; readonly unexpected: boolean } {
  if (error instanceof VillagridError) return { error, unexpected: error.status >= 500 && error.code !== 'E_BUSY' };
  const { code, statusCode } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    statusCode?: unknown;
  };
  const known = (name: ErrorCode, detail: string) => ({ error: new VillagridError(name, detail), unexpected: false });
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return known('E_PAYLOAD_TOO_LARGE', 'A body may have at most 1 MiB.');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return known('E_MEDIA_TYPE', 'The body’s content type must be application/json.');
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return statusCode === 404
      ? known('E_NOT_FOUND', 'No route has this method and path.')
      : known('E_REQUEST_INVALID', 'The request is not well formed.');
  }
  return {
    error: new VillagridError('E_INTERNAL', 'The server met an error it did not expect.', { cause: error }),
    unexpected: true,
  };
}
