/** Rules: what makes an alert here, and what another limit would have done in the last 30 days. */
import './rules.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RuleList, RuleTest, RuleTestResult } from '@villagrid/contracts';
import { percentText, sentenceStart, unbroken } from '../../i18n/format.js';
import { ruleWordsOf } from '../../i18n/alert-words.js';
import { addTexts, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { fetchRules, runRuleTest, type RunningTest } from './fetch.js';
import { isMoved, LimitInput, limitName, shownUnit, type Limit } from './limit-input.js';
import { TestResult } from './test-result.js';
import { ruleTexts } from './texts.js';

addTexts(ruleTexts);

type Rule = RuleList['rules'][number];
const days = 30;

/** A changed limit in a few words, "25 %". */
const limitText = (limit: Limit, value: number): string => {
  const { unit, factor } = shownUnit(limit);
  const key = limitName(limit.path);
  const words = key === 'above' || key === 'below' ? `${t(`rules.limit.${key}`)} ` : '';
  return sentenceStart(`${words}${value / factor} ${unit}`.trim());
};

function TryRule({ gridId, rule, nameOf }: { gridId: string; rule: Rule; nameOf: (deviceId: string) => string }) {
  const app = useApp();
  const limits = rule.limits.filter(isMoved);
  const [values, setValues] = useState<Readonly<Record<string, number>>>({});
  const [test, setTest] = useState<RuleTest>();
  const [result, setResult] = useState<{ readonly of: RuleTestResult; readonly names: readonly string[] }>();
  const [failed, setFailed] = useState(false);
  const running = useRef<RunningTest | undefined>(undefined);
  useEffect(() => () => running.current?.stop(), []);
  const changed = limits.filter(({ path, value }) => values[path] !== undefined && values[path] !== value);
  const begin = () => {
    running.current?.stop();
    setFailed(false);
    const set = Object.fromEntries(changed.map(({ path }) => [path, values[path] as number]));
    const names = [
      t('rules.asIs'),
      ...(changed.length > 0 ? [changed.map((one) => limitText(one, values[one.path] as number)).join(', ')] : []),
    ];
    const request = { rule_id: rule.rule_id, days, variants: changed.length > 0 ? [{}, { set }] : [{}] };
    const mine = runRuleTest(app.api, app.clock, gridId, request, (one) => running.current === mine && setTest(one));
    running.current = mine;
    setTest({ state: 'waiting', progress: 0 } as RuleTest);
    mine.done
      .then((one) => {
        if (running.current !== mine) return;
        if (one.result !== null) setResult({ of: one.result, names });
        else setFailed(one.state === 'failed');
      })
      .catch(() => running.current === mine && setFailed(true))
      .finally(() => running.current === mine && setTest(undefined));
  };
  return (
    <>
      {limits.map((limit) => (
        <LimitInput
          key={limit.path}
          limit={limit}
          value={values[limit.path] ?? limit.value}
          onChange={(value) => setValues((before) => ({ ...before, [limit.path]: value }))}
        />
      ))}
      <div class="buttons">
        {test === undefined ? (
          <button type="button" class="btn pri" onClick={begin}>
            {t('rules.try')}
          </button>
        ) : (
          <button
            type="button"
            class="btn"
            onClick={() => {
              running.current?.stop();
              running.current = undefined;
              setTest(undefined);
            }}
          >
            {t('rules.cancel')}
          </button>
        )}
        {changed.length > 0 && (
          <button type="button" class="btn quiet" onClick={() => setValues({})}>
            {t('rules.reset')}
          </button>
        )}
      </div>
      {test !== undefined && (
        <p class="d" role="status">
          {test.state === 'waiting'
            ? t('rules.waiting')
            : t('rules.trying', { percent: percentText(test.progress * 100) })}
          <progress max={1} value={test.progress} aria-hidden="true" />
        </p>
      )}
      {failed && (
        <p class="d" role="alert">
          {t('rules.tryFailed')}
        </p>
      )}
      {result !== undefined && <TestResult result={result.of} names={result.names} nameOf={nameOf} />}
      <p class="d">{t('rules.change')}</p>
    </>
  );
}

function RuleRow({
  gridId,
  rule,
  mayTry,
  nameOf,
}: {
  gridId: string;
  rule: Rule;
  mayTry: boolean;
  nameOf: (deviceId: string) => string;
}) {
  const [open, setOpen] = useState(false);
  // A formula is for who wrote it.
  const isFormula = rule.kind === 'expression';
  const isPlain = rule.testable && !isFormula;
  const words = ruleWordsOf(rule.rule_id);
  const why = words?.why ?? rule.why;
  return (
    <details class="rule" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="row">
        <Severity severity={rule.severity} blink={false} label={false} />
        <span class="main">
          <span class="t">{sentenceStart(words?.message ?? rule.message)}</span>
          <span class="d">
            <b>{t(`severity.${rule.severity}`)}</b> ·{' '}
            {isPlain && !words ? unbroken(sentenceStart(rule.description)) : why}
          </span>
        </span>
        {!rule.enabled && <span class="end d">{t('rules.off')}</span>}
      </summary>
      {open && (
        <div class="rule-body">
          {isPlain && !words && <p>{why}</p>}
          {isPlain && words && (
            <p class="d" lang="en" dir="ltr">
              {unbroken(sentenceStart(rule.description))}
            </p>
          )}
          {isFormula && (
            <details class="formula">
              <summary>{t('rules.formula')}</summary>
              <p class="d">{unbroken(rule.description)}</p>
            </details>
          )}
          {rule.testable && mayTry && <TryRule gridId={gridId} rule={rule} nameOf={nameOf} />}
          {!rule.testable && <p class="d">{t('rules.untestable')}</p>}
        </div>
      )}
    </details>
  );
}

export function Rules({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, login } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const view = views.value[gridId];
  const [list, setList] = useState<RuleList>();
  const [failed, setFailed] = useState(false);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    setFailed(false);
    fetchRules(app.api, gridId).then(setList, () => setFailed(true));
  }, [gridId, again, app]);
  const role = login.value?.role ?? null;
  const mayTry = role !== null && role !== 'viewer';
  const nameOf = (deviceId: string) => view?.devices?.find((one) => one.device_id === deviceId)?.name ?? deviceId;
  const groups = [
    ['watch', list?.rules.filter(({ testable }) => testable) ?? []],
    ['gateway', list?.rules.filter(({ testable }) => !testable) ?? []],
  ] as const;
  return (
    <div class="screen">
      <Header
        title={t('rules.title')}
        gridName={view?.summary.name ?? gridId}
        back={{ href: links.more(gridId), to: t('tab.more') }}
      />
      <main id="content" class="narrow">
        <p class="rules-intro">
          {t('rules.intro')} {!mayTry && t('rules.operators')}
        </p>
        {failed && (
          <div class="rules-intro" role="alert">
            <p>{t('rules.failed')}</p>
            <button type="button" class="btn" onClick={() => setAgain(again + 1)}>
              {t('rules.again')}
            </button>
          </div>
        )}
        {list === undefined && !failed && <div aria-busy="true" />}
        {groups.map(
          ([key, rules]) =>
            rules.length > 0 && (
              <section key={key} aria-labelledby={`rules-${key}`}>
                <h2 class="h2" id={`rules-${key}`}>
                  {t(`rules.${key}`)}
                </h2>
                <div class="rows">
                  {rules.map((rule) => (
                    <RuleRow key={rule.rule_id} gridId={gridId} rule={rule} mayTry={mayTry} nameOf={nameOf} />
                  ))}
                </div>
              </section>
            ),
        )}
      </main>
    </div>
  );
}
