/** When this version was released. No right clock shows an earlier time. Moved on with each release. */
export const buildDateMs = Date.UTC(2026, 8, 1);
