/** Asking for a secret at a terminal. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** Asks without showing what is typed; undefined when `input` is no terminal. */
export function askHidden(
  question: string,
  input: NodeJS.ReadStream,
  output: NodeJS.WriteStream,
): Promise<string | undefined> {
  if (input.isTTY !== true) return Promise.resolve(undefined);
  output.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true });
  return new Promise((resolve) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => {
      output.write('\n');
      resolve(undefined);
    });
  });
}
