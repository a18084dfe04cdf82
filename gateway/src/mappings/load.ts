/** Reads payload mappings and says what is wrong with one: file, line, what was found, what to do. Its own examples must come out right. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isMetricIdForm, messageOf, metricDefinition, VillagridError, conversionTo } from '@villagrid/contracts';
import { dottedPath, loadConfig, valueLines, type DocumentPath } from '@villagrid/runtime';
import { ownFile } from '../places.js';
import { compileMapping } from './apply.js';
import { compileCommand } from './commands.js';
import { parsePath } from './path.js';
import { mappingSchema, type MappedValue, type Mapping } from './schema.js';
import { covers, isFilter, matches, meet, parametersOf } from './topics.js';

/** The folder of the mappings that come with the gateway. */
export const mappingsDirectory = ownFile('profiles/mqtt');
/** The mapping of the first prototype's flat message, which every gateway takes. */
export const prototypeMapping = 'prototype';

type Path = DocumentPath;
type Problem = readonly [path: Path, what: string];

/** Reads one mapping. `content` is its text when it was read already. Throws E_PROFILE_INVALID. */
export function loadMapping(path: string, content = read(path)): Mapping {
  let mapping: Mapping;
  try {
    mapping = loadConfig(mappingSchema, { path, text: content });
  } catch (error) {
    throw error instanceof VillagridError ? invalid(error.detail, error) : error;
  }
  const id = basename(path).replace(/\.ya?ml$/, '');
  // Examples are tried on a form that is right in itself.
  const formal = [...formProblems(mapping, id)];
  const problems = (formal.length > 0 ? formal : [...exampleProblems(mapping)]).slice(0, 10);
  if (problems.length > 0) {
    const lineOf = valueLines(content);
    throw invalid(problems.map(([at, what]) => `${path}:${lineOf(at)}: ${dottedPath(at)}: ${what}.`).join('\n'));
  }
  return mapping;
}

/** Reads every *.yaml of the folders, by id; a later folder's mapping replaces one of the same id. Throws E_PROFILE_INVALID, E_CONFIG_READ. */
export function loadMappings(...folders: readonly string[]): ReadonlyMap<string, Mapping> {
  const found = new Map<string, Mapping>();
  for (const folder of folders) {
    let names: string[];
    try {
      names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
    } catch (error) {
      throw new VillagridError('E_CONFIG_READ', `${folder}: ${messageOf(error)}.`, { cause: error });
    }
    for (const name of names.sort()) found.set(basename(name, '.yaml'), loadMapping(join(folder, name)));
  }
  return found;
}

/** Reads the mappings of these ids alone: the site's folder first, then the gateway's own. Throws E_PROFILE_INVALID, also for one that is not there. */
export function loadNamedMappings(ids: Iterable<string>, siteFolder?: string): ReadonlyMap<string, Mapping> {
  const folders = [...(siteFolder === undefined ? [] : [siteFolder]), mappingsDirectory];
  const found = new Map<string, Mapping>();
  for (const id of new Set(ids)) {
    const path = folders.map((folder) => join(folder, `${id}.yaml`)).find((one) => existsSync(one));
    if (path === undefined)
      throw invalid(`there is no mapping "${id}" in ${folders.join(' or ')}; there are ${namesIn(folders)}.`);
    found.set(id, loadMapping(path));
  }
  return found;
}

const namesIn = (folders: readonly string[]): string =>
  folders
    .flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => basename(name, '.yaml'))
    .sort()
    .join(', ') || 'none';

const invalid = (detail: string, cause?: unknown) =>
  new VillagridError('E_PROFILE_INVALID', detail, {
    ...(cause === undefined ? {} : { cause }),
    next: 'Mend the line named in the detail; gateway/profiles/mqtt/README.md explains the form.',
  });

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`${path}: cannot be read: ${messageOf(error)}.`, error);
  }
}

function* formProblems(mapping: Mapping, fileName: string): Generator<Problem> {
  if (mapping.id !== fileName) yield [['id'], `found "${mapping.id}"; it must be the file's name, "${fileName}"`];
  const { publishes, tolerates, subscribes, messages, link } = mapping;
  const used = new Set<string>();
  function* filterProblems(filter: string, at: Path): Generator<Problem> {
    for (const name of parametersOf(filter)) {
      used.add(name);
      if (!Object.hasOwn(mapping.parameters, name)) yield [at, `{${name}} is not among parameters`];
    }
    if (!isFilter(filter)) yield [at, `"${filter}" is no topic: + and # stand for whole parts, # for the last`];
    if (filter.startsWith('$')) yield [at, 'topics that begin with $ belong to the broker'];
    // The prototype's two topics are the only ones of ours that carry foreign messages.
    if (/^microgrid(\/|$)/.test(filter) && mapping.id !== prototypeMapping)
      yield [at, 'topics below microgrid/ are Villagrid’s own'];
  }
  yield* kindProblems(mapping);
  for (const [field, filters] of Object.entries({ publishes, tolerates, subscribes }))
    for (const [index, filter] of filters.entries()) yield* filterProblems(filter, [field, index]);
  for (const [index, filter] of publishes.entries())
    if (!/^[^+#]*\{/.test(filter) && mapping.id !== prototypeMapping)
      yield [['publishes', index], 'name a {parameter} before any + or #: a node writes under its own topics only'];
  const own = (topic: string) => publishes.some((filter) => covers(filter, topic));
  const takes: [string, Path][] = messages.map(({ topic }, index) => [topic, ['messages', index, 'topic']]);
  if (link) takes.push([link.topic, ['link', 'topic']]);
  for (const [index, { topic, answer }] of mapping.commands.entries()) {
    if (answer) takes.push([answer.topic, ['commands', index, 'answer', 'topic']]);
    if (topic === undefined) continue;
    const at: Path = ['commands', index, 'topic'];
    yield* filterProblems(topic, at);
    if (!subscribes.some((filter) => covers(filter, topic)))
      yield [at, `the node does not subscribe to it (${subscribes.join(', ') || 'nothing'})`];
  }
  for (const [topic, at] of takes) {
    yield* filterProblems(topic, at);
    if (topic.includes('#')) yield [at, 'say the whole topic; + stands for any one part'];
    if (!own(topic)) yield [at, `"${topic}" is not below what the mapping publishes (${publishes.join(', ')})`];
    const heard = subscribes.find((filter) => meet(filter, topic));
    if (heard !== undefined) yield [at, `what is measured ends at the gateway, but "${heard}" would be told of it`];
  }
  for (const name of Object.keys(mapping.parameters)) {
    if (!used.has(name)) yield [['parameters', name], 'no topic names it'];
    if (mapping.parameters[name]?.default === undefined && !Object.hasOwn(mapping.example_parameters, name))
      yield [['example_parameters'], `the examples need "${name}"`];
  }
  for (const [index, message] of messages.entries())
    for (const [place, value] of message.values.entries()) {
      const at: Path = ['messages', index, 'values', place];
      yield* valueProblems(value, message.form, at);
    }
  for (const [index, { time }] of messages.entries())
    if (time && !parsePath(time.path)) yield [['messages', index, 'time', 'path'], `"${time.path}" is no path`];
}

/** What a mapping of foreign firmware needs, and one of our own form must not have. */
function* kindProblems({ own, publishes, messages, link, commands }: Mapping): Generator<Problem> {
  if (own) {
    if (publishes.length > 0 || messages.length > 0 || link)
      yield [['own'], 'topics and messages of our own form are known: leave publishes, messages and link out'];
    if (commands.length === 0) yield [['own'], 'such a mapping is for commands, and there are none'];
  } else if (publishes.length === 0 || messages.length === 0)
    yield [[publishes.length === 0 ? 'publishes' : 'messages'], 'say what the node writes, and what it means'];
  const names = new Set<string>();
  for (const [index, command] of commands.entries()) {
    const at = (field: string): Path => ['commands', index, field];
    const { name, choices, number, safe, answer, topic } = command;
    if (names.has(name)) yield [at('name'), `"${name}" is there twice`];
    names.add(name);
    if ((choices === undefined) === (number === undefined))
      yield [at('name'), 'a command has either choices or limits of a number'];
    if (number && number.min > number.max) yield [at('number'), 'min is above max'];
    if (own !== (topic === undefined) || own !== (answer === undefined))
      yield [
        at('name'),
        own ? 'topic and answer are known in our own form' : 'say the topic, and how the device answers',
      ];
    if (answer?.path !== undefined && !parsePath(answer.path)) yield [at('answer'), `"${answer.path}" is no path`];
    if (safe !== undefined) {
      const refused = compileCommand(command, {}).prepare(safe);
      if (typeof refused === 'string') yield [at('safe'), refused];
    }
  }
}

function* valueProblems(value: MappedValue, form: 'json' | 'number', at: Path): Generator<Problem> {
  const { metric, unit, path, many, states, when } = value;
  if ((path === undefined) === (form === 'json'))
    yield [[...at, 'path'], 'values of json have a path, a number has none'];
  const parsed = path === undefined ? undefined : parsePath(path);
  if (path !== undefined && !parsed) yield [[...at, 'path'], `"${path}" is no path, such as a.b[0].c`];
  if (parsed && parsed.many !== (many !== undefined))
    yield [[...at, 'many'], 'say with [*], and only then, whether the sum, the mean or the first counts'];
  if (when && !parsePath(when.path)) yield [[...at, 'when', 'path'], `"${when.path}" is no path`];
  const definition = isMetricIdForm(metric) ? metricDefinition(metric) : undefined;
  if (!definition) {
    yield [[...at, 'metric'], `"${metric}" is not in the metric catalogue (docs/reference/metrics.md)`];
    return;
  }
  if (states) {
    if (unit !== undefined) yield [[...at, 'unit'], 'states have no unit'];
  } else if (unit === undefined) {
    if (definition.unit !== '') yield [[...at, 'metric'], `say the unit, so that it can become ${definition.unit}`];
  } else if (!conversionTo(unit, definition.unit))
    yield [[...at, 'unit'], `"${unit}" cannot become ${definition.unit || 'a state'}, the unit of ${metric}`];
}

function* exampleProblems(mapping: Mapping): Generator<Problem> {
  const parameters = withDefaults(mapping, mapping.example_parameters);
  const compiled = compileMapping(mapping, parameters);
  const shown = new Set<string>();
  for (const [index, { topic, payload, gives, link }] of mapping.examples.entries()) {
    const at: Path = ['examples', index];
    if (![...compiled.publishes, ...compiled.tolerates].some((filter) => matches(filter, topic)))
      yield [[...at, 'topic'], `the node may not write to "${topic}"`];
    for (const filter of compiled.takes) if (matches(filter, topic)) shown.add(filter);
    const said = compiled.read(topic, typeof payload === 'string' ? payload : JSON.stringify(payload));
    if (link !== undefined && (said.kind !== 'link' || said.state !== link))
      yield [[...at, 'link'], `the message says ${said.kind === 'link' ? said.state : 'nothing of the link'}`];
    if (gives === undefined) continue;
    if (said.kind === 'reading' && !said.parsed.ok) {
      yield [at, `the message is refused: ${said.parsed.detail.replace(/\.$/, '')}`];
      continue;
    }
    const values = said.kind === 'reading' && said.parsed.ok ? (said.parsed.readings[0]?.values ?? []) : [];
    const found = new Map(values.map(({ metric, value }) => [metric, value]));
    for (const metric of new Set([...Object.keys(gives), ...found.keys()])) {
      const wanted = Object.hasOwn(gives, metric) ? gives[metric] : undefined;
      const got = found.get(metric);
      if (got !== wanted)
        yield [[...at, 'gives', metric], `the message gives ${got === undefined ? 'nothing' : got} here`];
    }
  }
  for (const [index, one] of mapping.command_examples.entries()) {
    const at: Path = ['command_examples', index];
    const command = compiled.commands.find(({ spec }) => spec.name === one.command);
    const prepared = command?.prepare(one.value);
    if (!command || prepared === undefined || typeof prepared === 'string') {
      yield [[...at, 'value'], typeof prepared === 'string' ? prepared : `there is no command "${one.command}"`];
      continue;
    }
    if (command.answerTopic !== undefined) shown.add(command.answerTopic);
    if (prepared.payload !== one.sends) yield [[...at, 'sends'], `it sends ${prepared.payload}`];
    const said = command.readAnswer(one.answer);
    if (said === undefined || !prepared.isDone(said)) yield [[...at, 'answer'], `the device says ${said ?? 'nothing'}`];
  }
  for (const filter of compiled.takes)
    if (!shown.has(filter)) yield [['examples'], `no example shows what becomes of ${filter}`];
}

/** The parameters of a device with the mapping's defaults. */
export function withDefaults(
  mapping: Mapping,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const filled: Record<string, string> = { ...given };
  for (const [name, { default: standard }] of Object.entries(mapping.parameters))
    if (!Object.hasOwn(filled, name) && standard !== undefined) filled[name] = standard;
  return filled;
}
