/** Lines above a screen: a new version, a phone that is full. */
import { addTexts, t } from '../i18n/messages.js';
import { useNewVersion } from '../sw/register.js';
import { bannerTexts } from './banner-texts.js';
import { useApp } from './context.js';

addTexts(bannerTexts);

export function Banners() {
  const { kept, updateReady, acts } = useApp().state;
  const waiting = acts.value.some((act) => act.state === 'waiting');
  return (
    <>
      {updateReady.value && (
        <div class="banner" role="status">
          <span>{t('update.ready')}</span>
          <button type="button" class="btn quiet" onClick={useNewVersion}>
            {t('update.use')}
          </button>
          <button
            type="button"
            class="btn quiet"
            onClick={() => {
              updateReady.value = false;
            }}
          >
            {t('update.later')}
          </button>
        </div>
      )}
      {!kept.value && (
        <div class="banner" role="status">
          <span>{t(waiting ? 'storage.fullWaiting' : 'storage.full')}</span>
        </div>
      )}
    </>
  );
}
