/** IndexedDB as promises: the little that this app needs of it. Every promise rejects with what the browser says. */

/** The answer of a request. */
export const answered = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Opens a database; `upgrade` makes its stores. A page that stands in the way of a newer version, or of throwing the
 * database away, lets go of it and is told by `lost`.
 */
export function openDatabase(
  name: string,
  version: number,
  upgrade: (database: IDBDatabase) => void,
  lost?: () => void,
): Promise<IDBDatabase> {
  const opening = indexedDB.open(name, version);
  opening.onupgradeneeded = () => upgrade(opening.result);
  return answered(opening).then((database) => {
    database.onversionchange = () => {
      database.close();
      lost?.();
    };
    return database;
  });
}

/** Changes stores; resolves when it is on the phone, rejects when any of it is not: a full phone says so only then. */
export function change(
  database: IDBDatabase,
  stores: readonly string[],
  run: (store: (name: string) => IDBObjectStore) => unknown,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction([...stores], 'readwrite');
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    void Promise.resolve(run((name) => transaction.objectStore(name))).catch(reject);
  });
}

/** Everything in a store. */
export const allOf = <T>(database: IDBDatabase, store: string): Promise<T[]> =>
  answered(database.transaction(store).objectStore(store).getAll()) as Promise<T[]>;
