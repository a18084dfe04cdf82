/** Words of command lines that several commands share. */

/** A wrong command line, in our words: what Node says of an option is for programmers. */
export function wrongOption(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  const option = /'(?:-\w, )?(--?[^\s'=]+)/.exec(message)?.[1] ?? '';
  switch (code) {
    case 'ERR_PARSE_ARGS_UNKNOWN_OPTION':
      return `There is no option ${option}.`;
    case 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL':
      return `"${/'(.*?)'/.exec(message)?.[1] ?? ''}" is not understood here.`;
    case 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE':
      return /does not take/.test(message) ? `${option} takes no value.` : `${option} needs a value.`;
    default:
      return error instanceof Error ? message : String(error);
  }
}

/** A word as it can be pasted into a shell. */
export const quoted = (word: string): string =>
  /^[\w./:@+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
