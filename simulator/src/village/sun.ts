/** Where the sun stands and what it gives through a clear sky. */

const radians = Math.PI / 180;

/** Cosine of the sun's zenith angle (0 or less below the horizon) at Unix milliseconds; Cooper's declination, Spencer's equation of time. */
export function cosZenith(timeMs: number, latitude: number, longitude: number): number {
  const time = new Date(timeMs);
  const dayOfYear = Math.floor((timeMs - Date.UTC(time.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
  const minuteUtc = (timeMs % 86_400_000) / 60_000;
  const b = (2 * Math.PI * (dayOfYear - 1)) / 365;
  const equationMin =
    229.18 *
    (0.000075 +
      0.001868 * Math.cos(b) -
      0.032077 * Math.sin(b) -
      0.014615 * Math.cos(2 * b) -
      0.040849 * Math.sin(2 * b));
  const declination = 23.45 * radians * Math.sin((2 * Math.PI * (284 + dayOfYear)) / 365);
  const hourAngle = ((minuteUtc + 4 * longitude + equationMin - 720) / 4) * radians;
  const phi = latitude * radians;
  return Math.sin(phi) * Math.sin(declination) + Math.cos(phi) * Math.cos(declination) * Math.cos(hourAngle);
}

/** Global horizontal irradiance of a clear sky in W/m2 (Haurwitz 1945). */
export function clearSkyWm2(timeMs: number, latitude: number, longitude: number): number {
  const cosine = cosZenith(timeMs, latitude, longitude);
  return cosine <= 0.005 ? 0 : 1098 * cosine * Math.exp(-0.057 / cosine);
}
