/**
 * Draws the PNG icons from public/icons/icon.svg with the machine's Chromium. Run by hand after a change of the drawing:
 * `node --import=tsx build/icons.ts`; the pictures are committed because the build machine may have no browser.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const directory = new URL('../public/icons/', import.meta.url);
const drawing = readFileSync(new URL('icon.svg', directory), 'utf8');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const shapes = [
  { file: 'icon-192.png', size: 192, maskable: false },
  { file: 'icon-512.png', size: 512, maskable: false },
  { file: 'icon-maskable-512.png', size: 512, maskable: true },
];
for (const { file, size, maskable } of shapes) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  // A maskable icon fills the square and keeps its drawing inside the inner 80 %.
  const inset = maskable ? size * 0.1 : 0;
  const svg = maskable ? drawing.replace('rx="112"', 'rx="0"') : drawing;
  await page.setContent(
    `<style>html,body{margin:0;background:${maskable ? '#0f1417' : 'transparent'}}svg{display:block;width:${size - 2 * inset}px;margin:${inset}px}</style>${svg}`,
  );
  writeFileSync(new URL(file, directory), await page.screenshot({ omitBackground: true }));
  await page.close();
}
await browser.close();
