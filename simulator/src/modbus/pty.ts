/** A pseudo-terminal that stands for a serial adapter: the gateway opens it by its name as it would a real one. */
import { spawn, spawnSync } from 'node:child_process';

/**
 * Node cannot make one itself. This holds both ends, links the name to the far one, and passes bytes on; what nobody reads
 * is lost, as on a real line. When it ends, whoever has the port open sees it go.
 */
const relay = `
import os, pty, select, sys, termios, tty
near, far = pty.openpty()
tty.setraw(far)
path, speed = sys.argv[1], sys.argv[2]
os.symlink(os.ttyname(far), path + '.new')
os.rename(path + '.new', path)
os.set_blocking(near, False)
sys.stderr.write('ready')
sys.stderr.flush()
while True:
    for ready in select.select([0, near], [], [])[0]:
        try:
            data = os.read(ready, 4096)
            if ready == 0 and not data:
                os.unlink(path)
                sys.exit()
            if speed and termios.tcgetattr(far)[5] != getattr(termios, 'B' + speed):
                continue
            os.write(near if ready == 0 else 1, data)
        except (BlockingIOError, BrokenPipeError):
            pass
`;

/** An open pseudo-terminal, seen from the device's side. */
export interface Pty {
  /** The name the gateway opens. */
  readonly path: string;
  onBytes(listener: (data: Uint8Array) => void): void;
  write(data: Uint8Array): void;
  /** Takes it away, as when an adapter is unplugged. */
  close(): Promise<void>;
}

/** Whether this machine can make pseudo-terminals for us: it needs python3. */
export function canOpenPty(): boolean {
  return process.platform === 'linux' && spawnSync('python3', ['-c', 'import pty, tty']).status === 0;
}

/**
 * Makes a pseudo-terminal under this name; with a speed nothing passes while the port is open at another one (parity cannot be
 * seen on a pseudo-terminal). Rejects when python3 is missing.
 */
export async function openPty(path: string, baud?: number): Promise<Pty> {
  const child = spawn('python3', ['-u', '-c', relay, path, String(baud ?? '')], { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  child.stdin.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.on('error', (error) => reject(new Error(`no pseudo-terminal: python3 cannot be started (${error.message})`)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said === 'ready') resolve();
    });
    child.on('close', () => reject(new Error(`no pseudo-terminal at ${path}: ${said}`)));
  });
  return {
    path,
    onBytes: (listener) => void child.stdout.on('data', listener),
    write: (data) => void child.stdin.write(data),
    close() {
      child.stdin.end();
      return ended;
    },
  };
}
