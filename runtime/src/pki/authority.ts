/**
 * A village's own certificate authority: ECDSA P-256, one level. Times are REAL Unix milliseconds, also in an
 * accelerated village, because the other side's TLS library judges them by its own clock.
 */
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type * as X509 from '@peculiar/x509';

/** A certificate and its private key, both as PEM text (the key is PKCS 8). */
export interface CertifiedKey {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** An authority is a certified key that may sign others. Keep its key at home, mode 0600. */
export type Authority = CertifiedKey;

/**
 * The library, loaded when it is first needed: a server that only uses certificates has no need of two hundred files that make
 * them.
 */
async function library(): Promise<typeof X509> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

const dayMs = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const crypto = webcrypto;

/** Makes a self-signed authority, valid from one day before `nowMs` for `days` (default ten years). */
export async function createAuthority({
  name,
  nowMs,
  days = 3650,
}: {
  name: string;
  nowMs: number;
  days?: number;
}): Promise<Authority> {
  const x509 = await library();
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: commonNameOnly(name),
      ...validity(nowMs, days),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { certificatePem: pem(certificate), privateKeyPem: await privateKeyPem(x509, keys.privateKey) };
}

/** Issues a certificate for a server reachable under these names (DNS names and IP addresses). Rejects with RangeError without names. */
export async function issueServerCertificate(
  authority: Authority,
  { names, nowMs, days }: { names: readonly string[]; nowMs: number; days: number },
): Promise<CertifiedKey> {
  const [first] = names;
  if (first === undefined) throw new RangeError('a server certificate needs at least one name or address');
  const x509 = await library();
  return issue(x509, { authority, commonName: first, nowMs, days }, x509.ExtendedKeyUsage.serverAuth, [
    new x509.SubjectAlternativeNameExtension(names.map((name) => ({ type: isIP(name) ? 'ip' : 'dns', value: name }))),
  ]);
}

/** Issues a certificate by which a client (a gateway, a device) shows who it is: its common name. */
export async function issueClientCertificate(
  authority: Authority,
  { commonName, nowMs, days }: { commonName: string; nowMs: number; days: number },
): Promise<CertifiedKey> {
  const x509 = await library();
  return issue(x509, { authority, commonName, nowMs, days }, x509.ExtendedKeyUsage.clientAuth, []);
}

async function issue(
  x509: typeof X509,
  wanted: {
    readonly authority: Authority;
    readonly commonName: string;
    readonly nowMs: number;
    readonly days: number;
  },
  usage: X509.ExtendedKeyUsage,
  more: readonly X509.Extension[],
): Promise<CertifiedKey> {
  const { authority, commonName, nowMs, days } = wanted;
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.privateKeyPem),
    algorithm,
    false,
    ['sign'],
  );
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: commonNameOnly(commonName),
      issuer: issuer.subjectName,
      ...validity(nowMs, days),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, crypto),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
        ...more,
      ],
    },
    crypto,
  );
  return { certificatePem: pem(certificate), privateKeyPem: await privateKeyPem(x509, keys.privateKey) };
}

/** What a person or a check wants to know of a certificate. */
export interface CertificateDescription {
  /** Common names of subject and issuer. */
  readonly subject: string;
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** DNS names and addresses it is valid for; empty for a client. */
  readonly names: readonly string[];
  /** SHA-256 of the certificate, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
}

/** Reads a certificate; throws an Error when the text is not one. */
export async function describeCertificate(certificatePem: string): Promise<CertificateDescription> {
  const x509 = await library();
  const certificate = new x509.X509Certificate(certificatePem);
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  return {
    subject: commonNameOf(certificate.subjectName),
    issuer: commonNameOf(certificate.issuerName),
    notBeforeMs: certificate.notBefore.getTime(),
    notAfterMs: certificate.notAfter.getTime(),
    names: names?.names.items.map((item) => item.value) ?? [],
    fingerprint: Buffer.from(await certificate.getThumbprint('SHA-256', crypto)).toString('hex'),
  };
}

/** Whole seconds; the start lies a day back because a neighbour's clock may be behind. */
const validity = (nowMs: number, days: number) => ({
  notBefore: new Date(Math.floor((nowMs - dayMs) / 1000) * 1000),
  notAfter: new Date(Math.floor((nowMs + days * dayMs) / 1000) * 1000),
});

/** As an object, which the types lack: a plain text would be read for quotation marks. */
const commonNameOnly = (name: string) => [{ CN: [{ utf8String: name }] }] as unknown as X509.JsonName;
const commonNameOf = (name: X509.Name): string => name.getField('CN')[0] ?? name.toString();
const pem = (certificate: X509.X509Certificate): string => `${certificate.toString('pem')}\n`;

async function privateKeyPem(x509: typeof X509, key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

/** 16 random bytes; the first is 1 to 127 so that the number is positive and has its full length. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 127 || 1;
  return bytes.toString('hex');
}
