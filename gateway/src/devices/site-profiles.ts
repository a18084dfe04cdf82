/** The profiles a site uses: those that come with the gateway, those of a folder of its own, points given in its settings. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf, VillagridError } from '@villagrid/contracts';
import { loadConfig } from '@villagrid/runtime';
import Type from 'typebox';
import { loadProfile, profileProblems, profilesDirectory } from './load-profiles.js';
import { pointSchema, type Profile, type ProfilePoint } from './profile-schema.js';

/** A device as far as its profile is concerned. */
export interface ProfiledDevice {
  readonly device_id: string;
  readonly profile: string;
  /** Points the site gives itself; one with the key of a profile's point replaces it. */
  readonly points?: readonly Readonly<Record<string, unknown>>[] | undefined;
}

const givenPoints = Type.Object({ points: Type.Array(pointSchema) }, { additionalProperties: false });

/** The points as given, checked against the form of a profile's point. */
function checkedPoints({ device_id: id, points }: ProfiledDevice): readonly ProfilePoint[] {
  try {
    return loadConfig(givenPoints, { path: id, text: JSON.stringify({ points }) }).points;
  } catch (error) {
    if (!(error instanceof VillagridError)) throw error;
    // Settings are read as one text; a line within these points would mean nothing to who wrote them.
    const detail = error.detail.replaceAll(`${id}:1: `, `device "${id}": `);
    throw new VillagridError('E_CONFIG_INVALID', detail, { cause: error });
  }
}

/** Files of profiles by id. One in the site's own folder wins over a shipped one. Throws E_CONFIG_READ for a folder that cannot be read. */
export function profileFiles(siteFolder?: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const folder of [profilesDirectory, ...(siteFolder === undefined ? [] : [siteFolder])]) {
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch (error) {
      throw new VillagridError('E_CONFIG_READ', `${folder}: ${messageOf(error)}.`, { cause: error });
    }
    for (const name of names.sort()) if (name.endsWith('.yaml')) files.set(basename(name, '.yaml'), join(folder, name));
  }
  return files;
}

/**
 * The connections with the profiles their devices use, by the name each device then has as `profile`: only those used are
 * read, because the whole library takes seconds on a small board. Throws E_PROFILE_INVALID, and E_CONFIG_INVALID for a
 * profile that is not there or points that do not fit.
 */
export function resolveProfiles<D extends ProfiledDevice, C extends { readonly devices: readonly D[] }>(
  connections: readonly C[],
  siteFolder?: string,
): { readonly connections: C[]; readonly profiles: ReadonlyMap<string, Profile> } {
  const profiles = new Map<string, Profile>();
  if (connections.length === 0) return { connections: [], profiles };
  const files = profileFiles(siteFolder);
  const named = (device: D): Profile => {
    const known = profiles.get(device.profile);
    if (known) return known;
    const path = files.get(device.profile);
    if (path === undefined)
      throw new VillagridError(
        'E_CONFIG_INVALID',
        `device "${device.device_id}": there is no profile "${device.profile}"; there are ${[...files.keys()].join(', ')}.`,
      );
    const profile = loadProfile(path);
    profiles.set(device.profile, profile);
    return profile;
  };
  const resolved = connections.map((connection) => ({
    ...connection,
    devices: connection.devices.map((device) => {
      const profile = named(device);
      if ((device.points ?? []).length === 0) {
        if (profile.points ?? profile.sunspec) return device;
        throw new VillagridError(
          'E_CONFIG_INVALID',
          `device "${device.device_id}": profile "${profile.id}" has no points; give the device its own under points.`,
        );
      }
      const name = `${profile.id} of ${device.device_id}`;
      profiles.set(name, withSitePoints(profile, device));
      return { ...device, profile: name };
    }),
  }));
  return { connections: resolved, profiles };
}

function withSitePoints(profile: Profile, device: ProfiledDevice): Profile {
  const { device_id: id } = device;
  const points = checkedPoints(device);
  const given = new Set(points.map(({ key }) => key));
  const own = (profile.points ?? []).filter(({ key }) => !given.has(key));
  const combined: Profile = { ...profile, points: [...own, ...points] };
  const problems = profile.sunspec
    ? [`profile "${profile.id}" finds its points by SunSpec and takes no others`]
    : profileProblems(combined);
  if (problems.length > 0)
    throw new VillagridError('E_CONFIG_INVALID', problems.map((one) => `device "${id}": ${one}.`).join('\n'));
  return combined;
}
