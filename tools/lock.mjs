// A lock file: of several processes only one does what it guards. Plain Node, since nothing may be installed yet.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** When the process began, as the kernel counts it; empty where that cannot be told. A zombie counts as ended. */
function begun(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return '';
  }
}

/** Whether the process that wrote the lock lives; its pid may belong to another one by now. */
function lives(pid, since) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  const now = begun(pid);
  return now === '' || since === '' || now === since;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Takes the lock, or gives the pid of the living process that has it. A lock whose owner is gone is taken over.
 * Throws what the file system throws when nothing can be written there.
 */
export function takeLock(path) {
  const own = `${process.pid} ${begun(process.pid)}\n`;
  const written = `${path}.${process.pid}`;
  writeFileSync(written, own, { mode: 0o600 });
  try {
    for (;;) {
      try {
        // Unlike writing, a link is there with its whole content or not at all.
        linkSync(written, path);
        return {
          release() {
            if (read(path) === own) rmSync(path, { force: true });
          },
        };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const found = read(path);
      if (found === undefined) continue;
      const [pid, since = ''] = found.trim().split(' ');
      if (lives(Number(pid), since)) return { pid: Number(pid) };
      const aside = `${written}.stale`;
      try {
        renameSync(path, aside);
      } catch (error) {
        if (error.code === 'ENOENT') continue;
        throw error;
      }
      try {
        // Somebody else found it stale too and was quicker: what was moved is theirs and goes back.
        if (read(aside) !== found) linkSync(aside, path);
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      } finally {
        rmSync(aside, { force: true });
      }
    }
  } finally {
    rmSync(written, { force: true });
  }
}
