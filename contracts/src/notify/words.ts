/** What a message says, in a person's language: short for SMS, whole for e-mail. Pure. */
import { compareSeverity, type Severity } from '../alerts/events.js';
import { zoneOffsetMs } from '../history/resolution.js';
import { ruleLanguages, type RuleLanguage } from '../rules/texts/texts.js';
import { alertWords } from '../rules/texts/words.js';
import type { NotifyFacts, NotifyReason } from './route.js';

/** One alert of a message. */
export interface NotifyLine {
  readonly facts: NotifyFacts;
  readonly why: NotifyReason;
}

/** Where and for whom a message is written. */
export interface NotifyWriting {
  readonly place: string;
  readonly language: string;
  /** IANA zone of times. */
  readonly zone: string;
}

/** A message in words. */
export interface NotifyText {
  /** One line: what it is about. */
  readonly subject: string;
  /** Everything, for where there is room. */
  readonly body: string;
  /** The most important within `shortMost` characters. */
  readonly short: string;
}

/** Characters of a short message: two SMS in the Latin alphabet. */
export const shortMost = 300;

interface Words {
  readonly severity: Readonly<Record<Severity, string>>;
  readonly why: Readonly<Record<NotifyReason, string>>;
  readonly since: string;
  readonly over: string;
  readonly alerts: string;
  readonly worst: string;
  readonly more: string;
  readonly todo: string;
  readonly reason: string;
  readonly seen: string;
  readonly test: string;
}

/** The words around an alert's own; those come from its rule's texts, or as they were raised where a rule has none. */
const words = {
  en: {
    severity: { critical: 'CRITICAL', high: 'HIGH', medium: 'medium', low: 'low' },
    why: {
      raised: '',
      worse: 'worse now',
      again: 'still there',
      escalated: 'nobody has answered',
      cleared: 'over',
      happened: 'for your information',
    },
    since: 'since',
    over: 'from {from} to {to}',
    alerts: '{count} alerts',
    worst: 'first',
    more: 'and {count} more',
    todo: 'Do',
    reason: 'Why it matters',
    seen: 'Seen it? Say so in the app, then nobody else is called.',
    test: 'Test message. If you can read this, alerts reach you.',
  },
  fr: {
    severity: { critical: 'CRITIQUE', high: 'GRAVE', medium: 'moyen', low: 'faible' },
    why: {
      raised: '',
      worse: 'aggravé',
      again: 'toujours là',
      escalated: "personne n'a répondu",
      cleared: 'terminé',
      happened: 'pour information',
    },
    since: 'depuis',
    over: 'de {from} à {to}',
    alerts: '{count} alertes',
    worst: "d'abord",
    more: 'et {count} de plus',
    todo: 'À faire',
    reason: "Pourquoi c'est important",
    seen: "Vu ? Dites-le dans l'application, alors personne d'autre n'est appelé.",
    test: 'Message de test. Si vous le lisez, les alertes vous parviennent.',
  },
  sw: {
    severity: { critical: 'HATARI', high: 'KUBWA', medium: 'wastani', low: 'ndogo' },
    why: {
      raised: '',
      worse: 'imezidi',
      again: 'bado ipo',
      escalated: 'hakuna aliyejibu',
      cleared: 'imekwisha',
      happened: 'kwa taarifa yako',
    },
    since: 'tangu',
    over: 'kutoka {from} hadi {to}',
    alerts: 'tahadhari {count}',
    worst: 'ya kwanza',
    more: 'na nyingine {count}',
    todo: 'Fanya',
    reason: 'Kwa nini ni muhimu',
    seen: 'Umeiona? Sema kwenye programu, hakuna mwingine atakayeitwa.',
    test: 'Ujumbe wa majaribio. Ukiusoma, tahadhari zinakufikia.',
  },
  ar: {
    severity: { critical: 'حرج', high: 'خطير', medium: 'متوسط', low: 'بسيط' },
    why: {
      raised: '',
      worse: 'ازداد سوءًا',
      again: 'ما زال قائمًا',
      escalated: 'لم يستجب أحد',
      cleared: 'انتهى',
      happened: 'للعلم',
    },
    since: 'منذ',
    over: 'من {from} إلى {to}',
    alerts: '{count} تنبيهات',
    worst: 'أولها',
    more: 'و{count} غيرها',
    todo: 'افعل',
    reason: 'سبب الأهمية',
    seen: 'هل رأيته؟ قل ذلك في التطبيق، فلا يُستدعى أحد غيرك.',
    test: 'رسالة اختبار. إن كنت تقرأها فالتنبيهات تصلك.',
  },
} as const satisfies Readonly<Record<RuleLanguage, Words>>;

/** Languages that messages can be written in: those of the default rules. */
export const notifyLanguages = ruleLanguages;

const wordsOf = (language: string): Words => words[languageOf(language)];
const languageOf = (language: string): RuleLanguage => ruleLanguages.find((one) => one === language) ?? 'en';
const fill = (text: string, values: Readonly<Record<string, string | number>>): string =>
  text.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** A time of day on the clock of a zone: `14:05`. */
function timeOfDay(timeMs: number, zone: string): string {
  const minute = Math.floor((timeMs + zoneOffsetMs(zone, timeMs)) / 60_000);
  return `${String(Math.floor(minute / 60) % 24).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

/** Writes a message about alerts, the worst first, beginnings before ends. At least one alert. */
export function notifyText(lines: readonly NotifyLine[], writing: NotifyWriting): NotifyText {
  const { place, zone } = writing;
  const say = wordsOf(writing.language);
  const isOver = ({ why }: NotifyLine) => (why === 'cleared' ? 1 : 0);
  const inLanguage = ({ facts, why }: NotifyLine): NotifyLine => ({
    why,
    facts: { ...facts, ...alertWords(facts.subject, languageOf(writing.language)) },
  });
  const sorted = lines
    .map(inLanguage)
    .sort(
      (a, b) =>
        isOver(a) - isOver(b) ||
        compareSeverity(a.facts.severity, b.facts.severity) ||
        a.facts.raised_at_ms - b.facts.raised_at_ms,
    );
  const when = ({ facts, why }: NotifyLine): string => {
    const from = timeOfDay(facts.raised_at_ms, zone);
    if (why === 'happened') return from;
    return why === 'cleared' && facts.cleared_at_ms !== null
      ? fill(say.over, { from, to: timeOfDay(facts.cleared_at_ms, zone) })
      : `${say.since} ${from}`;
  };
  const head = ({ facts, why }: NotifyLine): string => {
    const name = facts.subject.device_name === null ? facts.message : `${facts.message} (${facts.subject.device_name})`;
    const lead = why === 'cleared' || why === 'happened' ? say.why[why] : say.severity[facts.severity];
    const tail = why === 'cleared' || why === 'happened' || why === 'raised' ? '' : `, ${say.why[why]}`;
    return `${capital(lead)}: ${name}${tail}`;
  };
  const [first, ...others] = sorted as [NotifyLine, ...NotifyLine[]];
  const asks = sorted.some(({ why }) => why !== 'cleared' && why !== 'happened');
  const subject =
    others.length === 0
      ? `${place}: ${head(first)}`
      : `${place}: ${fill(say.alerts, { count: sorted.length })}, ${say.worst} ${head(first)}`;
  const body = [
    ...sorted.flatMap((line) => [
      `${head(line)}, ${when(line)}`,
      line.facts.what,
      ...(line.why === 'cleared'
        ? []
        : [`${say.reason}: ${line.facts.why}`, ...line.facts.steps.map((step, index) => `${index + 1}. ${step}`)]),
      '',
    ]),
    ...(asks ? [say.seen] : []),
  ].join('\n');
  return { subject, body: body.trimEnd(), short: shortText() };

  function shortText(): string {
    const parts = [`${subject}, ${when(first)}.`];
    if (others.length === 0) {
      if (first.why !== 'cleared') parts.push(sentence(first.facts.what));
      const step = first.facts.steps[0];
      if (step !== undefined && first.why !== 'cleared') parts.push(`${say.todo}: ${sentence(step)}`);
    } else {
      for (const [index, line] of others.entries()) {
        const rest = others.length - index;
        const tail = fill(say.more, { count: rest });
        const next = sentence(head(line));
        const after = rest > 1 ? tail.length + 2 : 0;
        if ([...parts, next].join(' ').length + after > shortMost) {
          parts.push(sentence(tail));
          break;
        }
        parts.push(next);
      }
    }
    let text = '';
    for (const part of parts) {
      const longer = text === '' ? part : `${text} ${part}`;
      if (longer.length > shortMost) return text === '' ? `${longer.slice(0, shortMost - 3)}...` : text;
      text = longer;
    }
    return text;
  }
}

/** The message of a test. */
export function notifyTestText({ place, language }: NotifyWriting): NotifyText {
  const say = wordsOf(language);
  return { subject: `${place}: Villagrid`, body: say.test, short: `${place}: ${say.test}` };
}
