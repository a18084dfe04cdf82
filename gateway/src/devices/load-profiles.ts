/** Reads device profiles and says what is wrong with one: file, line, what was found, what to do. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { conversionTo, messageOf, metricDefinition, VillagridError } from '@villagrid/contracts';
import { dottedPath, loadConfig, valueLines, type DocumentPath } from '@villagrid/runtime';
import { ownFile } from '../places.js';
import { encodeWrite } from './encode.js';
import { registersOf } from './layout.js';
import { type ModelPoint, type PointType, type Profile, type ProfilePoint, profileSchema } from './profile-schema.js';

/** The folder of the profiles that come with the gateway. */
export const profilesDirectory = ownFile('profiles');

type Path = DocumentPath;
type Problem = readonly [path: Path, what: string];

/** Reads one profile. `text` is its content when it was read already. Throws E_PROFILE_INVALID. */
export function loadProfile(path: string, text?: string): Profile {
  const content = text ?? read(path);
  let profile: Profile;
  try {
    profile = loadConfig(profileSchema, { path, text: content });
  } catch (error) {
    throw error instanceof VillagridError
      ? new VillagridError('E_PROFILE_INVALID', error.detail, { cause: error })
      : error;
  }
  const problems = [...crossChecks(profile, basename(path).replace(/\.ya?ml$/, ''))].slice(0, 10);
  if (problems.length > 0) {
    const lineOf = valueLines(content);
    const told = problems.map(([at, what]) => `${path}:${lineOf(at)}: ${dottedPath(at)}: ${what}.`);
    throw new VillagridError('E_PROFILE_INVALID', told.join('\n'));
  }
  return profile;
}

let delivered: ReadonlyMap<string, Profile> | undefined;

/**
 * Reads every *.yaml of a folder, by profile id; those that come with the gateway once for all. Throws E_PROFILE_INVALID,
 * E_CONFIG_READ when the folder is not readable.
 */
export function loadProfiles(directory: string = profilesDirectory): ReadonlyMap<string, Profile> {
  if (directory !== profilesDirectory) return profilesOf(directory);
  // They do not change while a program runs, and reading them takes a small box seconds.
  return (delivered ??= profilesOf(directory));
}

function profilesOf(directory: string): ReadonlyMap<string, Profile> {
  let names: string[];
  try {
    names = readdirSync(directory)
      .filter((name) => name.endsWith('.yaml'))
      .sort();
  } catch (error) {
    throw new VillagridError('E_CONFIG_READ', `${directory}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  return new Map(names.map((name) => [basename(name, '.yaml'), loadProfile(join(directory, name))]));
}

/** What is wrong between the parts of a profile that are each right; sentences without a full stop, each with its place. */
export function profileProblems(profile: Profile): string[] {
  return [...crossChecks(profile, profile.id)].slice(0, 10).map(([at, what]) => `${dottedPath(at)}: ${what}`);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = messageOf(error);
    throw new VillagridError('E_PROFILE_INVALID', `${path}: cannot be read: ${why}.`, { cause: error });
  }
}

function* crossChecks(profile: Profile, fileName: string): Generator<Problem> {
  if (profile.id !== fileName) yield [['id'], `found "${profile.id}"; it must be the file's name, "${fileName}"`];
  const kinds = [profile.points, profile.sunspec].filter((one) => one !== undefined).length;
  if (kinds === 2 || (kinds === 0 && !profile.site_points))
    yield [
      ['id'],
      'a profile has either points (fixed addresses) or sunspec (points by model), and exactly one of them',
    ];
  for (const [index, [first, last]] of profile.limits.forbidden.entries())
    if (first > last) yield [['limits', 'forbidden', index], `the first register ${first} is after the last, ${last}`];
  for (const [where, byType] of [
    [['missing'], profile.missing],
    [['sunspec', 'missing'], profile.sunspec?.missing],
  ] as const)
    for (const [type, codes] of Object.entries(byType ?? {}))
      yield* checkCodes(codes, type as PointType, [...where, type]);
  const fed = new Set<string>();
  if (profile.points)
    yield* checkPoints(profile, profile.points, ['points'], (point) => (point as ProfilePoint).address, fed);
  for (const [index, model] of (profile.sunspec?.models ?? []).entries()) {
    const where = ['sunspec', 'models', index, 'points'];
    yield* checkPoints(profile, model.points, where, (point) => (point as ModelPoint).model_offset, fed);
  }
  yield* checkComputed(profile, fed);
  yield* checkProbes(profile);
  for (const metric of Object.keys(profile.combine))
    if (!fed.has(metric)) yield [['combine', metric], 'no point feeds this metric'];
}

function* checkProbes(profile: Profile): Generator<Problem> {
  for (const [index, probe] of (profile.identify?.probes ?? []).entries()) {
    const at = (field: string) => ['identify', 'probes', index, field];
    const tests = [probe.one_of, probe.matches, probe.between].filter((test) => test !== undefined).length;
    if (tests !== 1) yield [at('type'), 'a probe says exactly one of one_of, matches (for texts) and between'];
    if (probe.matches !== undefined && probe.type !== 'str')
      yield [at('matches'), 'only a text (type str) can match an expression'];
    if (probe.type === 'str' && probe.matches === undefined) yield [at('type'), 'a text is tested with matches'];
    if (probe.matches !== undefined && !isExpression(probe.matches))
      yield [at('matches'), `"${probe.matches}" is not a regular expression`];
    const needed = registersOf(probe.type, probe.registers);
    if (probe.registers !== needed) yield [at('registers'), `type ${probe.type} takes ${needed} registers`];
    const last = probe.address + probe.registers - 1;
    if (last > 65_535) yield [at('address'), `its last register would be ${last}; addresses end at 65535`];
    if (probe.registers > profile.limits.max_registers)
      yield [at('registers'), `limits.max_registers allows ${profile.limits.max_registers}`];
    if (probe.between && probe.between[0] > probe.between[1]) yield [at('between'), 'the lowest number comes first'];
    for (const [from, to] of profile.limits.forbidden)
      if (probe.address <= to && last >= from)
        yield [at('address'), `registers ${from} to ${to} are forbidden by limits.forbidden`];
  }
}

function isExpression(text: string): boolean {
  try {
    return Boolean(new RegExp(text, 'u'));
  } catch {
    return false;
  }
}

function* checkPoints(
  profile: Profile,
  points: ReadonlyArray<ProfilePoint | ModelPoint>,
  where: Path,
  addressOf: (point: ProfilePoint | ModelPoint) => number,
  fedBefore: Set<string>,
): Generator<Problem> {
  const keys = new Map(points.map((point) => [point.key, point]));
  const seen = new Set<string>();
  for (const [index, point] of points.entries()) {
    const at = (field: string) => [...where, index, field];
    if (seen.has(point.key)) yield [at('key'), `"${point.key}" is there twice`];
    seen.add(point.key);
    if ((point.type === 'str') !== (point.registers !== undefined))
      yield [at('type'), 'a text (str) says its length in registers; other types do not'];
    yield* checkPlace(profile, point, addressOf(point), at);
    yield* checkForm(point, at);
    yield* checkCodes(point.missing ?? [], point.type, at('missing'));
    if (point.scale_factor !== undefined && keys.get(point.scale_factor)?.type !== 'sf16')
      yield [at('scale_factor'), `"${point.scale_factor}" is not a point of type sf16 beside this one`];
    if (point.valid_if && !keys.has(point.valid_if.point))
      yield [[...at('valid_if'), 'point'], `"${point.valid_if.point}" is not a point beside this one`];
    if (point.valid_if && (point.valid_if.above === undefined) === (point.valid_if.one_of === undefined))
      yield [at('valid_if'), 'say either above or one_of'];
    yield* checkMetric(profile, point, at, fedBefore);
    if (point.repeat && point.metric !== undefined && profile.combine[point.metric] === undefined)
      yield [at('repeat'), `it feeds "${point.metric}" several times; say under combine how they become one`];
  }
}

/** Whether raw codes can be what a value of the type is compared with. */
function* checkCodes(codes: ReadonlyArray<number | string>, type: PointType, where: Path): Generator<Problem> {
  for (const [index, code] of codes.entries())
    if (typeof code === 'number' && code > Number.MAX_SAFE_INTEGER)
      yield [[...where, index], 'a code of 64 bits is written in quotes, "0x...", or its last digits are lost'];
    else if (type !== 'str' && BigInt(code) >= 1n << BigInt(16 * registersOf(type)))
      yield [[...where, index], `type ${type} has ${16 * registersOf(type)} bits; this code never comes`];
}

/** Whether a point's registers lie where the device can be asked for them. */
function* checkPlace(
  { limits, address_step: step, sunspec }: Profile,
  point: ProfilePoint | ModelPoint,
  address: number,
  at: (field: string) => Path,
): Generator<Problem> {
  const { repeat, type } = point;
  const count = registersOf(type, point.registers);
  const high = 'high_address' in point ? point.high_address : undefined;
  if (high !== undefined && count !== 2) yield [at('high_address'), 'only 32-bit values have an upper half'];
  const from = Math.min(address, high ?? address);
  const end = high === undefined ? address + count * step : Math.max(address, high) + step;
  const lastEnd = end + (repeat ? (repeat.count - 1) * repeat.stride : 0);
  if (lastEnd - step > 65_535)
    yield [at('type'), `its last register would be ${lastEnd - step}; addresses end at 65535`];
  if ((end - from) / step > limits.max_registers)
    yield [
      at('type'),
      `it takes ${(end - from) / step} registers; limits.max_registers allows ${limits.max_registers}`,
    ];
  if (limits.window !== undefined && Math.floor(from / limits.window) !== Math.floor((end - 1) / limits.window))
    yield [at('key'), `it crosses a multiple of limits.window, ${limits.window}`];
  if (repeat && repeat.stride < count * step)
    yield [[...at('repeat'), 'stride'], `one takes ${count * step} addresses; the next cannot begin before it ends`];
  if (sunspec) return;
  for (let i = 0; i < (repeat?.count ?? 1); i += 1) {
    const shift = i * (repeat?.stride ?? 0);
    for (const [first, last] of limits.forbidden)
      if (from + shift <= last && end + shift > first) {
        yield [at('key'), `registers ${first} to ${last} are forbidden by limits.forbidden`];
        return;
      }
  }
}

/** Whether what is said of a point's number fits its type. */
function* checkForm(point: ProfilePoint | ModelPoint, at: (field: string) => Path): Generator<Problem> {
  const { type, mask, flags, scale_factor: factor } = point;
  const numberOnly = type === 'str' || type === 'f32' || type === 'f64';
  if (mask !== undefined && (numberOnly || BigInt(mask) === 0n))
    yield [at('mask'), 'a mask needs bits that count and a whole number to take them from'];
  if (mask !== undefined && BigInt(mask) >= 1n << BigInt(16 * registersOf(type)))
    yield [at('mask'), `type ${type} has ${16 * registersOf(type)} bits`];
  if (flags !== undefined && numberOnly) yield [at('flags'), `type ${type} has no flags; use bits16, bits32 or bits64`];
  for (const bit of Object.keys(flags ?? {}))
    if (Number(bit) >= 16 * registersOf(type))
      yield [[...at('flags'), bit], `type ${type} ends at bit ${16 * registersOf(type) - 1}`];
  if (type === 'sf16' && factor !== undefined) yield [at('scale_factor'), 'a scale factor has none itself'];
  if (point.scale === 0) yield [at('scale'), 'with scale 0 every value would be 0; leave it out for 1'];
}

/** Values that follow from points, and registers a command could write. */
function* checkComputed(profile: Profile, fed: Set<string>): Generator<Problem> {
  const keys = new Map((profile.points ?? []).map((point) => [point.key, point]));
  for (const [index, computed] of (profile.computed ?? []).entries()) {
    const at = (field: string) => ['computed', index, field];
    if (keys.has(computed.key)) yield [at('key'), `"${computed.key}" is a point already`];
    for (const one of computed.multiply)
      if (!keys.has(one) || keys.get(one)?.type === 'str' || keys.get(one)?.repeat)
        yield [at('multiply'), `"${one}" is not a point with a number`];
    yield* checkFeed(profile, computed, at, fed);
  }
  for (const [index, point] of (profile.write_points ?? []).entries()) {
    const { reads_back: back, min, max, safe, choices } = point;
    const at = (field: string) => ['write_points', index, field];
    const named = Object.values(choices ?? {});
    for (const value of [min, max, safe, ...named]) {
      const words = encodeWrite(point, value);
      if (typeof words === 'string') yield [at('type'), words];
      else if (point.function === 6 && words.length > 1)
        yield [at('function'), `6 writes one register and ${point.type} takes ${words.length}: write 16`];
    }
    for (const [name, value] of Object.entries(choices ?? {}))
      if (value < min || value > max) yield [at('choices'), `${name} is not between ${min} and ${max}`];
    if (choices && !named.includes(safe)) yield [at('safe'), `the safe value ${safe} is none of the choices`];
    if (min > max) yield [at('min'), `the lowest value ${min} is above the highest, ${max}`];
    if (safe < min || safe > max) yield [at('safe'), `the safe value ${safe} is not between ${min} and ${max}`];
    if (!keys.has(back)) yield [at('reads_back'), `"${back}" is not a point of this profile`];
  }
}

function* checkMetric(
  profile: Profile,
  point: ProfilePoint | ModelPoint,
  at: (field: string) => Path,
  fed: Set<string>,
): Generator<Problem> {
  const { metric, metric_factor: factor, metric_map: map } = point;
  if (metric === undefined) {
    if (factor !== undefined || map !== undefined)
      yield [at(factor === undefined ? 'metric_map' : 'metric_factor'), 'there is no metric it could be for'];
    return;
  }
  if (point.type === 'str') yield [at('metric'), 'a text cannot feed a metric'];
  yield* checkFeed(profile, { ...point, metric }, at, fed);
}

/** Whether a value may feed its metric: known, combined with others on purpose, and in the metric's unit. */
function* checkFeed(
  profile: Profile,
  value: Pick<ProfilePoint, 'metric_factor' | 'metric_map' | 'unit'> & { readonly metric: string },
  at: (field: string) => Path,
  fed: Set<string>,
): Generator<Problem> {
  const { metric, metric_factor: factor, metric_map: map, unit } = value;
  const definition = metricDefinition(metric);
  if (!definition) {
    yield [at('metric'), `"${metric}" is not in the metric catalogue (docs/reference/metrics.md)`];
    return;
  }
  if (fed.has(metric) && profile.combine[metric] === undefined)
    yield [
      at('metric'),
      `several points feed "${metric}"; say under combine whether the first, the sum or the mean counts`,
    ];
  fed.add(metric);
  if (map !== undefined) return;
  const conversion = unit === undefined ? undefined : conversionTo(unit, definition.unit);
  // A shifted unit such as °F has to be shifted in the point, by its offset; then its unit is another.
  const expected = conversion?.offset === 0 ? conversion.factor : undefined;
  if (unit === undefined)
    yield [at('metric'), `say the point's unit, so that the conversion to ${definition.unit} can be checked`];
  else if (expected === undefined)
    yield [at('unit'), `"${unit}" cannot become ${definition.unit || 'a state'}, the unit of ${metric}`];
  else if (Math.abs(Math.abs(factor ?? 1) - expected) > 1e-9 * expected)
    yield [
      at(factor === undefined ? 'metric' : 'metric_factor'),
      `from ${unit} to ${definition.unit} the factor is ${expected} or ${-expected}`,
    ];
}
