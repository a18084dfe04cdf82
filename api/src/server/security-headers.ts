/**
 * Security headers of every answer. No HSTS and no upgrade-insecure-requests: both would break the plain HTTP of the
 * village's Wi-Fi. `connect-src` names the host's WebSocket addresses because older Safari does not count them as 'self'.
 */
import { gatewayAddress } from '@villagrid/contracts';

/** For the one document that a page of another origin may read: who answers here. It holds no secret. */
export const openHeaders = {
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
} as const;

const safeHost = /^[A-Za-z0-9.\-[\]:]{1,255}$/;

/** The headers for an answer to a request to this host. */
export function securityHeaders(host: string | undefined): Readonly<Record<string, string>> {
  const sockets = host !== undefined && safeHost.test(host) ? ` ws://${host} wss://${host}` : '';
  return {
    'content-security-policy': [
      "default-src 'self'",
      // The gateway by its fixed address, for the app of a page that came from elsewhere.
      `connect-src 'self'${sockets} ${gatewayAddress}`,
      "img-src 'self' data:",
      "style-src 'self'",
      "script-src 'self'",
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  };
}

/** Whether a WebSocket may be opened from this Origin: none given (not a browser), the same host, or one that is trusted. */
export function originAllowed(
  origin: string | undefined,
  host: string | undefined,
  trusted: readonly string[],
): boolean {
  if (origin === undefined) return true;
  if (trusted.includes(origin)) return true;
  try {
    return host !== undefined && new URL(origin).host === new URL(`http://${host}`).host;
  } catch {
    return false;
  }
}
