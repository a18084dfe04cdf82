/** The ways to a server in the order they are tried, each with what became of it, and what is here without any. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { gatewayAddress } from '@villagrid/contracts';
import { momentText } from '../i18n/format.js';
import { t } from '../i18n/messages.js';
import { probeWays, type Ways } from '../origin/probe.js';
import { useApp } from './context.js';
import { Icon } from './icons.js';

const askEveryMs = 10_000;

export function WayRows({ zone, tries }: { readonly zone: string; readonly tries: number }) {
  const { state, clock } = useApp();
  const [ways, setWays] = useState<Ways>();
  const tried = useRef(0);
  const step = Math.floor(state.phoneNowMs.value / askEveryMs);
  useEffect(() => {
    let gone = false;
    void probeWays(clock, tries > tried.current).then((found) => gone || setWays(found));
    tried.current = tries;
    return () => void (gone = true);
  }, [step, tries]);
  const savedMs = Math.max(0, ...Object.values(state.views.value).map(({ answeredAtMs }) => answeredAtMs));
  const rows = [
    { way: 'own', name: location.host, found: ways?.own },
    { way: 'address', name: new URL(gatewayAddress).host, found: ways?.address },
  ] as const;
  return (
    <>
      <h3 class="h2 flush">{t('sheet.ways')}</h3>
      <ol class="help ways">
        {rows.map(({ way, name, found }) => (
          <li key={way} data-way={way}>
            <Icon name={found === undefined ? 'unreachable' : found === null ? 'close' : 'check'} />
            <span>
              {t(`sheet.ways.${way}`, { name })}{' '}
              {found === undefined
                ? t(ways === undefined ? 'sheet.ways.asked' : 'sheet.ways.notTried')
                : found === null
                  ? t('sheet.ways.nobody')
                  : t('sheet.ways.answers', { server: t(`source.${found.kind}`) })}
              {way === 'address' && found?.kind === 'gateway' && (
                <>
                  <br />
                  <a class="btn" href={`${gatewayAddress}/plain`}>
                    {t('sheet.ways.plain')}
                  </a>
                </>
              )}
            </span>
          </li>
        ))}
        <li data-way="saved">
          <Icon name={savedMs > 0 ? 'check' : 'close'} />
          <span>
            {savedMs > 0
              ? t('sheet.ways.saved', { when: momentText(savedMs, state.nowMs.value, zone) })
              : t('source.nothing')}
          </span>
        </li>
      </ol>
    </>
  );
}
