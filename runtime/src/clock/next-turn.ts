/** Lets everything else that waits in the event loop have its turn. For work in slices; it measures no time. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
