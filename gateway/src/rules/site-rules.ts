/**
 * Rules of a site's own folder, one YAML file each. A file named as a default rule changes it: what the file does not say
 * stays. Any other file is a rule of its own and needs all of it, its texts above all: no text, no alert.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  combineRule,
  defaultLimits,
  defaultRules,
  messageOf,
  ruleChangeSchema,
  tryRule,
  VillagridError,
  watchesNothing,
  watchesUnlearnt,
  type Rule,
  type RuleChange,
  type RuleLimits,
  type RuleProblem,
  type Site,
} from '@villagrid/contracts';
import { dottedPath, loadConfig, nearest, valueLines } from '@villagrid/runtime';
import Type from 'typebox';

/** Most files that are read. */
const mostRules = 200;

/** A file of a rule: any part of it but its id may be left out where it changes a default. */
export const ruleFileSchema = ruleChangeSchema;
type RuleFile = RuleChange;

/** What a rule is checked against. */
export interface RuleSurroundings {
  readonly site: Site;
  /** The default rules, which files may change. */
  readonly defaults: readonly Rule[];
}

/** The rules in force, where they come from, and the files that cannot be used. */
export interface SiteRules {
  /** Defaults in their order, then the site's own by name. */
  readonly rules: readonly Rule[];
  /** File of each rule that has one. */
  readonly files: ReadonlyMap<string, string>;
  /** What each of these files says. */
  readonly changes: ReadonlyMap<string, RuleChange>;
  /** Each a text that names file, line and reason. */
  readonly problems: readonly string[];
}

/** The default rules of a site with its limits. */
export function siteDefaults(site: Site, limits: Partial<RuleLimits>): Rule[] {
  return defaultRules({ ...defaultLimits(site.plant), ...limits }, site);
}

/**
 * Reads one file. Throws E_CONFIG_READ, E_CONFIG_SYNTAX or E_CONFIG_INVALID with file and line; of a file with several
 * mistakes all of them, a line each.
 */
export function readRuleFile(path: string, surroundings: RuleSurroundings, text?: string): Rule {
  return readWhole(path, surroundings, text).rule;
}

/** The rule of a file, and what the file says of it. */
function readWhole(
  path: string,
  { site, defaults }: RuleSurroundings,
  text?: string,
): { readonly rule: Rule; readonly change: RuleChange } {
  const content = text ?? read(path);
  const lineOf = valueLines(content);
  const problems: string[] = [];
  const tell = ({ path: at, what }: RuleProblem) => problems.push(`${path}:${lineOf(at)}: ${dottedPath(at)}: ${what}.`);
  let file: RuleFile;
  try {
    file = loadConfig(ruleFileSchema, { path, text: content });
  } catch (error) {
    if (!(error instanceof VillagridError) || error.code !== 'E_CONFIG_INVALID') throw error;
    problems.push(error.detail);
    // What it says otherwise is looked at all the same.
    file = loadConfig(anyMapping, { path, text: content }) as RuleFile;
  }
  const name = basename(path).replace(/\.ya?ml$/, '');
  if (typeof file.id === 'string' && file.id !== name)
    tell({ path: ['id'], what: `found "${file.id}"; it must be the file's name, "${name}"` });
  // Under a wrong id it is still known which rule is meant.
  const changed = defaults.find(({ id }) => id === name) ?? defaults.find(({ id }) => id === file.id);
  const rule = combineRule(file, changed);
  if (Array.isArray(rule))
    problems.push(
      `${path}:1: ${rule.join(', ')}: missing; "${file.id}" is no default rule, so its file says all of it.`,
    );
  const isWhole = problems.length === 0 || hasForm(file, changed);
  const checked = isWhole ? tryRule(Array.isArray(rule) ? ({ ...file } as Rule) : rule) : undefined;
  if (checked?.ok === false)
    for (const one of checked.problems)
      if (!problems.some((told) => told.includes(`${dottedPath(one.path)}: `))) tell(one);
  if (checked?.ok === true) {
    // A default may be changed before its figure is wired.
    const nowhere = changed ? undefined : watchesNothing(checked.rule, site);
    if (nowhere) tell(nowhere);
    const unlearnt = watchesUnlearnt(checked.rule, site);
    if (unlearnt && !nowhere) tell(unlearnt);
    if (file.part_of !== undefined) unknownParents(checked.rule, knownIds(path, defaults)).forEach(tell);
    if (problems.length === 0) return { rule: checked.rule, change: file };
  }
  throw new VillagridError('E_CONFIG_INVALID', problems.join('\n'));
}

const anyMapping = Type.Object({}, { additionalProperties: true });

/** Whether a file whose form is wrong somewhere still says what its parameters can be checked against. */
function hasForm(file: RuleFile, changed: Rule | undefined): boolean {
  const isMapping = (one: unknown) => typeof one === 'object' && one !== null && !Array.isArray(one);
  const kind = file.kind ?? changed?.kind;
  const selector = file.selector ?? changed?.selector;
  return typeof kind === 'string' && isMapping(selector) && isMapping(file.parameters ?? changed?.parameters);
}

/** The rules of a site: defaults and those of its folder. A file that cannot be used harms no other rule. */
export function loadSiteRules(folder: string | undefined, surroundings: RuleSurroundings): SiteRules {
  const byId = new Map(surroundings.defaults.map((rule) => [rule.id, rule]));
  const files = new Map<string, string>();
  const changes = new Map<string, RuleChange>();
  const problems: string[] = [];
  for (const path of ruleFiles(folder)) {
    try {
      const { rule, change } = readWhole(path, surroundings);
      byId.set(rule.id, rule);
      changes.set(rule.id, change);
      files.set(rule.id, path);
    } catch (error) {
      if (!(error instanceof VillagridError)) throw error;
      problems.push(error.detail);
    }
  }
  return { rules: [...byId.values()], files, changes, problems };
}

/** Files of a folder of rules in order; none where there is no folder. Throws E_CONFIG_READ for one that cannot be read. */
export function ruleFiles(folder: string | undefined): string[] {
  if (folder === undefined || !existsSync(folder)) return [];
  try {
    const names = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
    return names
      .sort()
      .slice(0, mostRules)
      .map((name) => join(folder, name));
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${folder}: ${messageOf(error)}.`, { cause: error });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${path}: ${messageOf(error)}.`, { cause: error });
  }
}

/** Rules there are for a file: the defaults, and the files beside it, whatever is wrong in them. */
const knownIds = (path: string, defaults: readonly Rule[]): readonly string[] => [
  ...defaults.map(({ id }) => id),
  ...ruleFiles(dirname(path)).map((one) => basename(one).replace(/\.ya?ml$/, '')),
];

/** A rule that is part of one that does not exist would wake people beside the one that was meant. */
function unknownParents({ id, part_of }: Rule, known: readonly string[]): RuleProblem[] {
  const isList = Array.isArray(part_of);
  return [part_of ?? []].flat().flatMap((parent, at) => {
    const path = isList ? ['part_of', at] : ['part_of'];
    if (parent === id) return [{ path, what: 'a rule is no part of itself' }];
    if (known.includes(parent)) return [];
    const near = nearest(parent, known);
    return [{ path, what: `there is no rule "${parent}"${near === undefined ? '' : `; did you mean ${near}?`}` }];
  });
}
