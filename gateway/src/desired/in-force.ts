/** What a gateway works with: its settings, and what documents change of them. Pure. */
import {
  ruleOfChange,
  roles,
  whyNotRules,
  type DocumentBody,
  type Grant,
  type GridDocument,
  type Role,
  type Rule,
  type RuleLimits,
  type Site,
} from '@villagrid/contracts';
import type { Account } from '@villagrid/runtime';
import { siteDefaults } from '../rules/index.js';
import type { DesiredBodies } from './desired.js';

/** What the settings say alone. */
export interface OwnSettings {
  readonly site: Site;
  readonly limits: Partial<RuleLimits>;
}

/** Name, place and plant of a site, which documents may change. */
export type SiteWords = Pick<Site, 'name' | 'plant'> & { location: Site['location'] | undefined };

/** What is in force. */
export interface InForce {
  readonly words: SiteWords;
  readonly limits: Partial<RuleLimits>;
  /** Defaults in their order, then others by name. */
  readonly rules: readonly Rule[];
  /** Rules that cannot be used, a sentence each. */
  readonly problems: readonly string[];
}

/** Settings with what documents say; a rule that cannot be used harms no other. */
export function inForce({ site, limits: own }: OwnSettings, bodies: DesiredBodies): InForce {
  const { name, location, pv_kwp, battery_kwh } = bodies.grid as GridDocument;
  const words: SiteWords = {
    name: name ?? site.name,
    location: location ?? site.location,
    plant: {
      ...site.plant,
      ...(pv_kwp === undefined ? {} : { pv_kwp }),
      ...(battery_kwh === undefined ? {} : { battery_kwh }),
    },
  };
  const limits = { ...own, ...(bodies.limits as Partial<RuleLimits>) };
  const present = { ...site, plant: words.plant };
  const defaults = siteDefaults(present, limits);
  const byId = new Map(defaults.map((rule) => [rule.id, rule]));
  const problems: string[] = [];
  for (const [id, change] of Object.entries(bodies.rules)) {
    const made = ruleOfChange(change, { site: present, defaults });
    if (made.ok) byId.set(made.rule.id, made.rule);
    else problems.push(`rule ${id}: ${made.reason}`);
  }
  return { words, limits, rules: [...byId.values()], problems };
}

/** Why a gateway could not work with this, one sentence; undefined when it can. Throws what a rule fails with. */
export function whyNot(own: OwnSettings, bodies: DesiredBodies, nowMs: number): string | undefined {
  const { rules, problems } = inForce(own, bodies);
  if (problems.length > 0) return problems.join('; ');
  return whyNotRules(rules, Object.keys(bodies.rules), own.site, nowMs);
}

/** Usernames that documents can name. */
const username = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;

/** The accounts that have a role on a grid, as the document of people has them. */
export function peopleOf(accounts: readonly Account[], gridId: string): DocumentBody {
  const people: [string, unknown][] = [];
  for (const { username: id, displayName, grants, disabled } of accounts) {
    const role = roleOn(grants, gridId);
    if (role !== undefined && username.test(id)) people.push([id, { display_name: displayName, role, disabled }]);
  }
  return Object.fromEntries(people);
}

function roleOn(grants: readonly Grant[], gridId: string): Role | undefined {
  return grants
    .filter(({ scope }) => scope.kind !== 'grid' || scope.grid_id === gridId)
    .map(({ role }) => role)
    .sort((a, b) => roles.indexOf(b) - roles.indexOf(a))[0];
}
