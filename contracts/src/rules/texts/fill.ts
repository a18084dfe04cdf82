/** Fills the texts of rules. */

/** Replaces {names} by their values; one that has none stays, so that it can be found. */
export function fillText(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Whether a device's name says the component already: "Cabinet temperature" of `cabinet`. */
export function namesComponent(deviceName: string | null, suffix: string): boolean {
  const words = (text: string) =>
    ` ${text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
      .trim()} `;
  return deviceName !== null && words(deviceName).includes(words(suffix));
}

/** A number for a sentence: three significant digits, at most two decimals, no trailing zeros. */
export function shortNumber(value: number): string {
  const decimals = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals)));
}
