/** `villagrid doctor`: runs every check on a gateway's or cloud's folder. Adding a check is its file and its line here. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf, type Clock, VillagridError } from '@villagrid/contracts';
import { readYaml } from '../site/files.js';
import type { Check, Finding } from './check.js';
import { backup } from './checks/backup.js';
import { certificates } from './checks/certificates.js';
import { clock } from './checks/clock.js';
import { databases } from './checks/databases.js';
import { devices } from './checks/devices.js';
import { disk } from './checks/disk.js';
import { listening } from './checks/listening.js';
import { people } from './checks/people.js';
import { plainMqtt } from './checks/plain-mqtt.js';

/** All checks, in the order they are shown. */
export const checks: readonly Check[] = [
  clock,
  disk,
  certificates,
  databases,
  backup,
  devices,
  people,
  plainMqtt,
  listening,
];

/** What one check found. */
export interface Diagnosis {
  readonly check: string;
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** Runs all checks; a check that fails itself is a bad finding, never the end of the others. */
export async function diagnose(folder: string, realClock: Clock): Promise<Diagnosis[]> {
  const configFile = ['gateway.yaml', 'cloud.yaml'].map((name) => join(folder, name)).find((path) => existsSync(path));
  if (configFile === undefined) {
    throw new VillagridError('E_CONFIG_READ', `${folder} holds neither gateway.yaml nor cloud.yaml.`);
  }
  const context = {
    folder,
    configFile,
    config: readYaml(configFile).toJS() as Record<string, unknown>,
    path: (relative: string) => resolve(folder, relative),
    realClock,
  };
  const diagnoses: Diagnosis[] = [];
  for (const check of checks) {
    let findings: Finding[];
    try {
      findings = await check.run(context);
    } catch (error) {
      findings = [
        {
          state: 'bad',
          found: `the check itself failed: ${messageOf(error)}`,
          next: 'Tell whoever maintains this box.',
        },
      ];
    }
    diagnoses.push({ check: check.id, title: check.title, findings });
  }
  return diagnoses;
}

/** The worst state of all findings. */
export function worstState(diagnoses: readonly Diagnosis[]): Finding['state'] {
  const states = diagnoses.flatMap((one) => one.findings.map((finding) => finding.state));
  return states.includes('bad') ? 'bad' : states.includes('warning') ? 'warning' : 'good';
}
