/** Certificates of a folder: its own authority, made once, and what it issues. Certificates live in real time. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Authority, createAuthority, issueServerCertificate } from '@villagrid/runtime';
import { readText, writePublic, writeSecret } from './files.js';

/** Days a server's or gateway's certificate is good for. */
export const certificateDays = 825;

/** Paths of a certificate and its key. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Where a certificate of the name and its key are in a folder. */
export const certificateFiles = (folder: string, name: string): CertificateFiles => ({
  certificateFile: join(folder, `${name}.crt`),
  keyFile: join(folder, `${name}.key`),
});

/** The folder's authority (`authority.crt`, `authority.key`), made when it is not there yet. */
export async function folderAuthority(
  folder: string,
  name: string,
  nowMs: number,
): Promise<Authority & CertificateFiles> {
  const paths = certificateFiles(folder, 'authority');
  if (existsSync(paths.certificateFile) && existsSync(paths.keyFile)) {
    return { certificatePem: readText(paths.certificateFile), privateKeyPem: readText(paths.keyFile), ...paths };
  }
  const authority = await createAuthority({ name, nowMs });
  writeSecret(paths.keyFile, authority.privateKeyPem);
  writePublic(paths.certificateFile, authority.certificatePem);
  return { ...authority, ...paths };
}

/** Issues a server certificate for names and addresses into the folder. */
export async function issueServer(
  folder: string,
  file: string,
  authority: Authority,
  names: readonly string[],
  nowMs: number,
): Promise<CertificateFiles> {
  const paths = certificateFiles(folder, file);
  const issued = await issueServerCertificate(authority, { names: [...names], nowMs, days: certificateDays });
  writeSecret(paths.keyFile, issued.privateKeyPem);
  writePublic(paths.certificateFile, issued.certificatePem);
  return paths;
}
