/** Where the list of grids comes from, for the status line of screens over many grids. */
import type { GridState } from '@villagrid/contracts';
import { ruleWordsOf } from '../../i18n/alert-words.js';
import { momentText, sentenceStart } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import { valid } from '../../origin/roaming.js';
import { useApp } from '../../ui/context.js';

export function useGridsSource() {
  const { state } = useApp();
  const { grids, gridsState, gridsAtMs, discovery, lastServer, login, loginExpired, nowMs } = state;
  const server = t(`source.${discovery.value?.kind ?? lastServer.value.kind ?? 'cloud'}`);
  const zone = grids.value[0]?.zone ?? 'UTC';
  const saved = gridsAtMs.value;
  if (
    !valid(login.value) ||
    loginExpired.value ||
    gridsState.value === 'failed' ||
    (gridsState.value === 'loading' && saved !== null)
  ) {
    if (saved === null) return { icon: 'phone' as const, text: t('source.nothing') };
    const when = momentText(saved, nowMs.value, zone);
    const key =
      !valid(login.value) || loginExpired.value
        ? 'source.phoneLogin'
        : gridsState.value === 'loading'
          ? 'source.phoneConnecting'
          : 'source.phone';
    return { icon: 'phone' as const, text: t(key, { when }) };
  }
  if (gridsState.value === 'loading') return { icon: 'phone' as const, text: t('source.connecting') };
  const reporting = grids.value.filter(({ reachable }) => reachable).length;
  return {
    icon: (discovery.value?.kind ?? 'cloud') as 'cloud' | 'gateway',
    text: t('source.grids', { server, n: reporting, total: grids.value.length }),
  };
}

/** What the worst alert of a grid says. */
export const worstText = ({ worst_rule_id, worst_message }: GridState): string =>
  sentenceStart(ruleWordsOf(worst_rule_id ?? '')?.message ?? worst_message ?? '');
