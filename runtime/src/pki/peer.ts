/**
 * Checks the certificate of a TLS server by hand, for a machine whose own clock is wrong: signatures up to a known
 * authority, the name, the purpose, and the validity by the time that is given. What OpenSSL checks by the system's clock.
 * The TLS handshake itself has shown by then that the server holds the key.
 */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

const longestChain = 5;
const serverPurpose = '1.3.6.1.5.5.7.3.1';

/** What a certificate is judged by. */
export interface PeerJudgement {
  /** The server's certificate; those above it hang on it by `issuerCertificate`, as a TLS socket gives them. */
  readonly certificate: X509Certificate;
  /** Authorities that are known, PEM, one or several. */
  readonly caPem: string;
  /** Name or address that was dialled. */
  readonly host: string;
  /** The right time, Unix ms; undefined when nobody knows it: then validity is not judged. */
  readonly nowMs: number | undefined;
}

/** Why a certificate is not to be believed, or undefined when it is. Never throws for what is in it. */
export function whyNotPeer({ certificate, caPem, host, nowMs }: PeerJudgement): string | undefined {
  const named = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  if (named === undefined) return `the certificate is not for ${host}`;
  const purposes = certificate.keyUsage as string[] | undefined;
  if (purposes && purposes.length > 0 && !purposes.includes(serverPurpose))
    return 'the certificate is not one of a server';
  const authorities = readAuthorities(caPem);
  let at = certificate;
  for (let depth = 0; depth < longestChain; depth += 1) {
    if (nowMs !== undefined) {
      if (Date.parse(at.validFrom) > nowMs) return 'certificate is not yet valid';
      if (Date.parse(at.validTo) < nowMs) return 'certificate has expired';
    }
    const current = at;
    const authority = authorities.find((one) => signed(current, one));
    if (authority) {
      if (nowMs !== undefined && (Date.parse(authority.validFrom) > nowMs || Date.parse(authority.validTo) < nowMs))
        return 'the authority’s certificate is not valid now';
      return undefined;
    }
    const above = at.issuerCertificate;
    if (above === undefined || above.fingerprint256 === at.fingerprint256 || !above.ca || !signed(at, above)) break;
    at = above;
  }
  return 'the certificate is not signed by an authority that is known';
}

function signed(certificate: X509Certificate, by: X509Certificate): boolean {
  try {
    return by.ca && certificate.checkIssued(by) && certificate.verify(by.publicKey);
  } catch {
    return false;
  }
}

function readAuthorities(pem: string): X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return found.flatMap((one) => {
    try {
      return [new X509Certificate(one)];
    } catch {
      return [];
    }
  });
}
