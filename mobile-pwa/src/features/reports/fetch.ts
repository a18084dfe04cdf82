/** What the reports ask of the server, and how a file reaches the phone's downloads. */
import type { Clock, Report } from '@villagrid/contracts';
import type { Api } from '../../origin/api.js';

/** A file the server made. */
export interface FetchedFile {
  readonly name: string;
  readonly content: Blob;
}

/** What to ask of a report; `date` is a time in the period, Unix ms. */
export interface ReportQuestion {
  readonly period: 'day' | 'month' | 'year';
  readonly date?: number;
  readonly by?: 'hour' | 'day' | 'month';
}

/** What a file of series is to hold; times in Unix ms. */
export interface FileQuestion {
  readonly metric: string;
  readonly from: number;
  readonly to: number;
  readonly granularity: string;
  readonly format: 'csv' | 'spreadsheet';
}

/** How long a report and a file may take on a slow link, ms. */
const reportPatienceMs = 30_000;
const filePatienceMs = 120_000;

const address = (call: string, gridId: string, question: object): string =>
  `/api/${call}/${encodeURIComponent(gridId)}?${new URLSearchParams(
    Object.entries(question).map(([key, value]): [string, string] => [key, String(value)]),
  )}`;

/** Asks for a report. */
export const fetchReport = (api: Api, gridId: string, question: ReportQuestion): Promise<Report> =>
  api.ask(address('reports', gridId, question), reportPatienceMs, (response) => response.json() as Promise<Report>);

/** Asks for a file. */
export const fetchFile = (api: Api, gridId: string, question: FileQuestion): Promise<FetchedFile> =>
  api.ask(address('export', gridId, question), filePatienceMs, async (response) => ({
    name: /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'villagrid.csv',
    content: await response.blob(),
  }));

/** Hands a file to the phone's downloads. */
export function saveFile({ name, content }: FetchedFile, clock: Clock): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the address after the click is over.
  clock.after(60_000, () => URL.revokeObjectURL(url));
}
