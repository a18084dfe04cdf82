/** Every screen in a language: nothing runs over the edge, and (in the language for tests) no word is written by hand. */
import { chromium, type Page } from 'playwright-core';
import { chromiumPath } from './run-app-checks.js';

const patienceMs = 60_000;

/** What to look at. */
export interface LanguageChecksOptions {
  readonly baseUrl: string;
  readonly username: string;
  readonly password: string;
  readonly gridId: string;
  /** Tag of the language, the width of the screen in px, and which way it is read. */
  readonly languages: ReadonlyArray<{ readonly tag: string; readonly width: number; readonly direction: string }>;
}

/** Fields whose texts are people's, places' and devices' own; all else on a screen is the app's. */
const ownFields =
  /^(name|display_name|username|location|zone|text|note|reason|protocol|build|version|line|trouble|said|[a-z]+_id|id|actor|assignee|metric|about|detail)$/;

/** Collects such texts from an answer of the server. */
function collect(value: unknown, into: Set<string>, field = ''): void {
  if (typeof value === 'string') {
    if (ownFields.test(field)) into.add(value);
  } else if (Array.isArray(value)) for (const one of value) collect(one, into, field);
  else if (typeof value === 'object' && value !== null)
    for (const [key, one] of Object.entries(value)) collect(one, into, key);
}

/** Texts and labels on the page, but for those that say which other language they are in. Runs in the page. */
function readPage(): string[] {
  const found: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement, nodeValue } = walker.currentNode;
    if (parentElement?.closest('script, style, noscript, [lang]:not(html)') === null) found.push(nodeValue ?? '');
  }
  for (const element of document.querySelectorAll('[aria-label], [placeholder], [title], [alt]'))
    for (const name of ['aria-label', 'placeholder', 'title', 'alt']) found.push(element.getAttribute(name) ?? '');
  return found;
}

/** What runs over an edge. Runs in the page. */
function overTheEdge(): string[] {
  const over = document.documentElement.scrollWidth - window.innerWidth;
  if (over <= 0) return [];
  const culprits = [...document.querySelectorAll<HTMLElement>('body *')].filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return right > window.innerWidth + 1 || left < -1;
  });
  return [`${over} px too wide: ${culprits.slice(-1).map((one) => `<${one.localName} class="${one.className}">`)}`];
}

/** Visits every screen in every language; resolves with what is wrong. */
export async function languageProblems(options: LanguageChecksOptions): Promise<string[]> {
  const problems = new Set<string>();
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  try {
    for (const { tag, width, direction } of options.languages) {
      const context = await browser.newContext({ viewport: { width, height: 640 }, serviceWorkers: 'block' });
      await context.addInitScript((chosen) => localStorage.setItem('villagrid.language', chosen), tag);
      const page = await context.newPage();
      page.setDefaultTimeout(patienceMs);
      const own = new Set([new URL(options.baseUrl).host, options.username]);
      page.on('pageerror', (error) => problems.add(`${tag}: ${error.message}`));
      page.on('websocket', (socket) =>
        socket.on('framereceived', ({ payload }) => collect(JSON.parse(String(payload)), own)),
      );
      page.on('response', (response) => {
        if (/\/api\/|well-known/.test(response.url()))
          void response.json().then(
            (body) => collect(body, own),
            () => undefined,
          );
      });
      const look = (name: string) => lookAt(page, `${tag} ${name}`, tag === 'en-XA' ? own : undefined, problems);
      const go = async (path: string, ready: string, name: string) => {
        await page.evaluate((hash) => {
          location.hash = hash;
        }, `#/grid/${options.gridId}${path}`);
        await page.waitForSelector(ready);
        await look(name);
      };
      await page.goto(options.baseUrl);
      await page.waitForSelector('.origin .ic');
      await page.waitForSelector('input[name=password]');
      const found = await page.evaluate(() => document.documentElement.dir);
      if (found !== direction) problems.add(`${tag} is read ${found}`);
      await look('login');
      await page.fill('input[name=username]', options.username);
      await page.fill('input[name=password]', options.password);
      await page.click('button[type=submit]');
      await page.waitForSelector('.tabs');
      await page.waitForSelector('.grid-row, [data-verdict]');
      await look('home');
      await go('', '.u-over', 'dashboard');
      await go('/alerts', '.alert-rows a.row', 'alerts');
      await page.click('.alert-rows a.row');
      await page.waitForSelector('.detail h2');
      await look('alert');
      await page.click('.act .sub');
      await page.waitForSelector('dialog textarea');
      await look('note');
      await page.keyboard.press('Escape');
      await go('/history', '.history-plot .u-over', 'history');
      await go('/rules', '.rule', 'rules');
      await go('/reports', '.reports-body[aria-busy=false] .report-state', 'reports');
      await go('/devices', '.device', 'devices');
      await go('/duty', '.duty textarea, textarea', 'duty');
      await go('/completeness', '.verdict', 'completeness');
      await go('/wall', '.wall-figures .val', 'wall');
      await go('/audit', '.audit-list li', 'audit');
      await page.evaluate(() => {
        location.hash = '#/people';
      });
      await page.waitForSelector('.person');
      await look('people');
      await page.evaluate(() => {
        location.hash = '#/fleet';
      });
      await page.waitForSelector('.fleet .verdict');
      await look('fleet');
      await go('/more', '.more-rows', 'more');
      await page.click('.top .src');
      await page.waitForSelector('dialog[open] .facts');
      await look('connection');
      await context.close();
    }
  } finally {
    await browser.close();
  }
  return [...problems];
}

async function lookAt(
  page: Page,
  name: string,
  own: ReadonlySet<string> | undefined,
  into: Set<string>,
): Promise<void> {
  for (const problem of await page.evaluate(overTheEdge)) into.add(`${name}: ${problem}`);
  if (own === undefined) return;
  // The longest first: a device's name may hold that of its place.
  const known = [...own].filter((text) => text.length > 1).sort((a, b) => b.length - a.length);
  const units = /\b([kM]?Wh?|kWp|Hz|RH|[kM]B)\b/g;
  for (const text of await page.evaluate(readPage)) {
    const rest = known.reduce((left, one) => left.replaceAll(one, ' '), text).replace(units, ' ');
    if (/[A-Za-z]{3,}/.test(rest)) into.add(`${name}: “${text.trim()}” is not in the dictionary`);
  }
}
