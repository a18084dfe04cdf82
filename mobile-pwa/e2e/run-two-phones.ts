/** Two people with two phones, one at the gateway and one at the cloud, acknowledge the same alert. Real headless Chromium. */
import { chromium, type Page } from 'playwright-core';
import { chromiumPath } from './run-app-checks.js';

/** A phone: which server it asks, and who holds it. */
export interface PhoneOptions {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

const patienceMs = 60_000;

/** Has both acknowledge the newest unseen alert at the same moment; gives each phone's timeline once both are in it. */
export async function acknowledgeAtBothEnds(
  gridId: string,
  phones: readonly [PhoneOptions, PhoneOptions],
): Promise<readonly string[][]> {
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  try {
    const pages: Page[] = [];
    let address = '';
    for (const { url, username, password } of phones) {
      const page = await (await browser.newContext({ viewport: { width: 360, height: 640 } })).newPage();
      pages.push(page);
      await page.goto(url, { waitUntil: 'load' });
      await page.fill('input[name=username]', username, { timeout: patienceMs });
      await page.fill('input[name=password]', password);
      await page.click('button[type=submit]');
      await page.waitForSelector('.tabs', { timeout: patienceMs });
      // The login may go to its own first screen a moment after the tabs are there.
      const go = async (hash: string) => {
        for (let calm = 0; calm < 5; await page.waitForTimeout(100))
          calm = await page.evaluate(
            ([to, before]) => {
              const stays = location.hash === to;
              if (!stays) location.hash = to;
              return stays ? before + 1 : 0;
            },
            [hash, calm] as const,
          );
      };
      if (address === '') {
        await go(`#/grid/${encodeURIComponent(gridId)}/alerts`);
        const found = await page.waitForFunction(
          () =>
            [...document.querySelectorAll('.alert-rows a.row')]
              .find((row) => /not seen yet/.test(row.textContent ?? ''))
              ?.getAttribute('href'),
          undefined,
          { timeout: patienceMs },
        );
        address = (await found.jsonValue()) ?? '';
      }
      await go(address);
      await page.waitForSelector('.act .pri', { timeout: patienceMs });
    }
    await Promise.all(pages.map((page) => page.click('.act .pri')));
    return await Promise.all(
      pages.map(async (page) => {
        const seen = () =>
          [...document.querySelectorAll('.tl li:not(.pending)')]
            .map((entry) => entry.textContent ?? '')
            .filter((text) => /Seen by/.test(text));
        await page.waitForFunction(
          () =>
            [...document.querySelectorAll('.tl li:not(.pending)')].filter((entry) =>
              /Seen by/.test(entry.textContent ?? ''),
            ).length >= 2,
          undefined,
          { timeout: patienceMs },
        );
        return page.evaluate(seen);
      }),
    );
  } finally {
    await browser.close();
  }
}
