/** What a device can be told to do: chosen, asked back with its name, done, and what came of it. At the gateway only. */
import '../more/more.css';
import './commands.css';
import type { CommandAnswer, CommandList, CommandOffer, CommandRecord } from '@villagrid/contracts';
import { useState } from 'preact/hooks';
import { momentText } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { Dialog } from '../dialog/dialog.js';
import { asJson, failureText } from '../answer/answer.js';
import { commandTexts } from './command-texts.js';

addTexts(commandTexts);

/** A device may take up to a minute to answer, and the gateway waits for it. */
const patienceMs = 75_000;

/** What became of a command, in words: only what the device said counts as done. */
export function outcomeText(record: CommandRecord): string {
  const { state, reason, read_back } = record;
  const said =
    state === 'acknowledged' ? (read_back === null ? null : t('command.readBack', { value: read_back })) : reason;
  return [t(`command.${state}`), said, record.late_answer ? t('command.late') : null].filter(Boolean).join(' ');
}

export function CommandSheet({
  gridId,
  zone,
  device,
  list,
  done,
}: {
  gridId: string;
  zone: string;
  device: { readonly device_id: string; readonly name: string };
  list: CommandList;
  /** Called when the list has become another. */
  done: () => void;
}) {
  const [open, setOpen] = useState(false);
  const offers = list.offers.filter(({ device_id }) => device_id === device.device_id);
  if (!list.enabled || offers.length === 0) return null;
  const records = list.records.filter(({ device_id }) => device_id === device.device_id).slice(0, 5);
  return (
    <div class="sec command-open">
      <button type="button" class="btn" onClick={() => setOpen(true)}>
        <Icon name="bolt" />
        {t('command.open')}
      </button>
      <Dialog open={open} title={t('command.title', { device: device.name })} onClose={() => setOpen(false)}>
        <div class="commands">
          {offers.map((offer) => (
            <Offer key={offer.command} gridId={gridId} device={device} offer={offer} done={done} />
          ))}
          {records.length > 0 && <Records records={records} zone={zone} offers={offers} />}
        </div>
      </Dialog>
    </div>
  );
}

function Records({
  records,
  zone,
  offers,
}: {
  records: readonly CommandRecord[];
  zone: string;
  offers: readonly CommandOffer[];
}) {
  const now = useApp().state.nowMs.value;
  const label = (command: string) => offers.find((one) => one.command === command)?.label ?? command;
  return (
    <section aria-labelledby="commands-before">
      <h3 id="commands-before">{t('command.before')}</h3>
      <ul class="command-records">
        {records.map((one) => (
          <li key={one.command_id}>
            <b>
              {label(one.command)}: {one.value}
            </b>
            <span>{outcomeText(one)}</span>
            <span class="by">
              {t('command.by', { name: one.actor.name, when: momentText(one.sent_at_ms, now, zone) })}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Offer({
  gridId,
  device,
  offer,
  done,
}: {
  gridId: string;
  device: { readonly device_id: string; readonly name: string };
  offer: CommandOffer;
  done: () => void;
}) {
  const { api } = useApp();
  const [value, setValue] = useState('');
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState<{ readonly question: string; readonly confirmation: string }>();
  const [result, setResult] = useState<CommandRecord>();
  const [trouble, setTrouble] = useState('');
  const { number, choices } = offer;
  const given = number === null ? value : Number(value);
  const send = async (confirmation?: string) => {
    setBusy(true);
    setTrouble('');
    try {
      const answer = await api.ask(
        `/api/device/${encodeURIComponent(device.device_id)}/command`,
        patienceMs,
        asJson<CommandAnswer>,
        {
          method: 'POST',
          body: {
            grid_id: gridId,
            command: offer.command,
            value: given,
            ...(confirmation === undefined ? {} : { confirmation }),
          },
        },
      );
      if (answer.state === 'needs_confirmation') setAsked(answer);
      else {
        setAsked(undefined);
        setResult(answer.record);
        done();
      }
    } catch (error) {
      setAsked(undefined);
      // No answer says nothing of the device: it may have been done.
      setTrouble(
        [failureText(error), confirmation === undefined ? '' : t('command.unknown')].filter(Boolean).join(' '),
      );
      if (confirmation !== undefined) done();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="offer"
      onSubmit={(event) => {
        event.preventDefault();
        setResult(undefined);
        void send();
      }}
    >
      <h3 id={`offer-${offer.command}`}>{offer.label}</h3>
      {choices !== null && (
        <div class="chips" role="group" aria-labelledby={`offer-${offer.command}`}>
          {choices.map((one) => (
            <button
              key={one}
              type="button"
              class="chip"
              aria-pressed={one === value}
              disabled={busy}
              onClick={() => (setValue(one), setAsked(undefined), setResult(undefined))}
            >
              {one}
            </button>
          ))}
        </div>
      )}
      {number !== null && (
        <label class="field">
          <span>{t('command.between', { min: number.min, max: number.max, unit: number.unit ?? '' })}</span>
          <input
            class="input"
            type="number"
            inputMode="decimal"
            step="any"
            min={number.min}
            max={number.max}
            required
            value={value}
            disabled={busy}
            onInput={(event) => (setValue(event.currentTarget.value), setAsked(undefined), setResult(undefined))}
          />
        </label>
      )}
      {asked === undefined ? (
        <button type="submit" class="btn" disabled={busy || value === ''}>
          {t(busy ? 'command.busy' : 'command.choose')}
        </button>
      ) : (
        <div class="ask" role="alertdialog" aria-label={t('command.confirm')}>
          <p>
            <b>{device.name}</b>
          </p>
          <p>{asked.question}</p>
          <div class="buttons">
            <button type="button" class="btn pri" disabled={busy} onClick={() => void send(asked.confirmation)}>
              {busy ? t('command.waiting') : t('command.yes', { device: device.name })}
            </button>
            <button type="button" class="btn" disabled={busy} onClick={() => setAsked(undefined)}>
              {t('command.no')}
            </button>
          </div>
        </div>
      )}
      <p class="outcome" role="status">
        {trouble !== '' ? (
          <>
            <Icon name="warning" />
            <span>{trouble}</span>
          </>
        ) : (
          result !== undefined && (
            <>
              <Icon name={result.state === 'acknowledged' ? 'check' : 'warning'} />
              <span>{outcomeText(result)}</span>
            </>
          )
        )}
      </p>
    </form>
  );
}
