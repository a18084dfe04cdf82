/** Certificates: there, readable, for the right time, with keys that only their owner reads. */
import { existsSync, statSync } from 'node:fs';
import { describeCertificate } from '@villagrid/runtime';
import { readText } from '../../site/files.js';
import { at, type Check, type Finding } from '../check.js';
import { messageOf } from '@villagrid/contracts';

const dayMs = 86_400_000;
/** Days before its end at which a certificate is worth a warning. */
const warnDays = 60;

export const certificates: Check = {
  id: 'certificates',
  title: 'Certificates and keys',
  async run({ config, path, realClock }) {
    const findings: Finding[] = [];
    for (const section of ['https', 'mqtts', 'uplink']) {
      const certificate = at(config, section, 'certificate_file');
      const key = at(config, section, 'key_file');
      if (typeof certificate !== 'string') continue;
      const file = path(certificate);
      if (!existsSync(file)) {
        findings.push({
          state: 'bad',
          found: `${section}: ${file} is missing`,
          next: 'Make the folder anew with `villagrid init`, or copy the file back.',
        });
        continue;
      }
      try {
        const { notBeforeMs, notAfterMs, subject } = await describeCertificate(readText(file));
        const now = realClock.nowMs();
        const days = Math.floor((notAfterMs - now) / dayMs);
        if (now < notBeforeMs)
          findings.push({
            state: 'bad',
            found: `${section}: ${subject} is not valid yet`,
            next: 'Set the clock of this machine.',
          });
        else if (days < 0)
          findings.push({
            state: 'bad',
            found: `${section}: ${subject} ended ${-days} days ago`,
            next: 'Issue a new certificate.',
          });
        else if (days < warnDays)
          findings.push({
            state: 'warning',
            found: `${section}: ${subject} ends in ${days} days`,
            next: 'Issue a new certificate before then.',
          });
        else findings.push({ state: 'good', found: `${section}: ${subject} is valid for ${days} days` });
      } catch (error) {
        findings.push({
          state: 'bad',
          found: `${section}: ${file} is no certificate (${messageOf(error)})`,
          next: 'Copy the right file back.',
        });
      }
      if (typeof key === 'string') findings.push(keyFinding(section, path(key)));
    }
    return findings.length > 0 ? findings : [{ state: 'skipped', found: 'no certificate is configured' }];
  },
};

function keyFinding(section: string, file: string): Finding {
  if (!existsSync(file))
    return {
      state: 'bad',
      found: `${section}: key ${file} is missing`,
      next: 'Copy it back, or issue a new certificate.',
    };
  const others = statSync(file).mode & 0o077;
  return others === 0
    ? { state: 'good', found: `${section}: only its owner can read the key` }
    : { state: 'bad', found: `${section}: others can read ${file}`, next: `chmod 600 ${file}` };
}
