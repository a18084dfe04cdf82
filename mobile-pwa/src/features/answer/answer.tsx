/** What a screen shows of a question to the server that is not kept on the phone: waiting, refused, out of reach. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { addTexts, t } from '../../i18n/messages.js';
import { ApiFailure } from '../../origin/api.js';
import { useApp } from '../../ui/context.js';
import { answerTexts } from './texts.js';

addTexts(answerTexts);

const patienceMs = 15_000;

/** Reads an answer as JSON. */
export const asJson = <T,>(response: Response): Promise<T> => response.json() as Promise<T>;

/** Why something did not work, in words for the reader. */
export function failureText(error: unknown): string {
  if (!(error instanceof ApiFailure) || error.kind === 'unreachable' || error.kind === 'server')
    return t('answer.offline');
  return [error.problem?.detail, error.problem?.next].filter(Boolean).join(' ') || t('answer.refused');
}

/** A question and its answer; what was answered before stays while it is asked again. */
export interface Answered<T> {
  readonly answer: T | undefined;
  readonly trouble: string;
  ask(): void;
  set(answer: T): void;
}

/** Asks at once, and again when the address changes. Answers that come late, or after the screen is gone, are dropped. */
export function useAnswer<T>(path: string): Answered<T> {
  const { api } = useApp();
  const [answer, setAnswer] = useState<T>();
  const [trouble, setTrouble] = useState('');
  const turn = useRef(0);
  const ask = useCallback(() => {
    turn.current += 1;
    const mine = turn.current;
    api.ask(path, patienceMs, asJson<T>).then(
      (given) => {
        if (mine !== turn.current) return;
        setAnswer(given);
        setTrouble('');
      },
      (error: unknown) => {
        if (mine === turn.current) setTrouble(failureText(error));
      },
    );
  }, [path, api]);
  useEffect(() => {
    ask();
    return () => {
      turn.current += 1;
    };
  }, [ask]);
  return { answer, trouble, ask, set: setAnswer };
}

/** Trouble with a way to try again, or a place holder while nothing has been answered. */
export function AnswerState<T>({ of }: { of: Answered<T> }) {
  if (of.trouble !== '')
    return (
      <div class="empty" role="status">
        <p>{of.trouble}</p>
        <button type="button" class="btn" onClick={of.ask}>
          {t('answer.again')}
        </button>
      </div>
    );
  return of.answer === undefined ? (
    <div aria-hidden="true">
      {[1, 2, 3].map((n) => (
        <div class="skeleton" key={n} />
      ))}
    </div>
  ) : null;
}
