/** Topics and filters of mappings: filling in parameters, matching, and whether two filters meet. */

/** Names of the parameters in a topic. */
export function parametersOf(topic: string): string[] {
  return [...topic.matchAll(/\{([a-z][a-z0-9_]*)\}/g)].map((match) => match[1] as string);
}

/** A topic with its parameters filled in; one that is not given stays as it is. */
export function fillTopic(topic: string, parameters: Readonly<Record<string, string>>): string {
  return topic.replace(/\{([a-z][a-z0-9_]*)\}/g, (whole, name: string) =>
    Object.hasOwn(parameters, name) ? (parameters[name] as string) : whole,
  );
}

/** Whether a text is a right MQTT filter. */
export function isFilter(filter: string): boolean {
  const parts = filter.split('/');
  return parts.every((part, index) =>
    part.includes('#') ? part === '#' && index === parts.length - 1 : !part.includes('+') || part === '+',
  );
}

/** Whether a topic matches a filter. Topics that begin with `$` match only filters that do. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') !== filter.startsWith('$')) return false;
  const parts = topic.split('/');
  const wanted = filter.split('/');
  for (const [index, part] of wanted.entries()) {
    if (part === '#') return true;
    if (index >= parts.length || (part !== '+' && part !== parts[index])) return false;
  }
  return wanted.length === parts.length;
}

/** Whether everything a filter can match is matched by another one too. */
export function covers(filter: string, narrower: string): boolean {
  const parts = narrower.split('/');
  const wanted = filter.split('/');
  for (const [index, part] of wanted.entries()) {
    if (part === '#') return true;
    const here = parts[index];
    if (here === undefined || here === '#' || (part === '+' ? false : part !== here)) return false;
  }
  return wanted.length === parts.length;
}

/** Whether there is a topic that both filters match. */
export function meet(a: string, b: string): boolean {
  const left = a.split('/');
  const right = b.split('/');
  for (let index = 0; ; index += 1) {
    const one = left[index];
    const other = right[index];
    if (one === '#' || other === '#') return true;
    if (one === undefined || other === undefined) return one === other;
    if (one !== '+' && other !== '+' && one !== other) return false;
  }
}
