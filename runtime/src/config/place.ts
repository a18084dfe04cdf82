/** Places in a YAML document, as errors tell them: path and line. */
import { isNode, LineCounter, parseDocument } from 'yaml';

/** Keys and indexes from the document down to a value. */
export type DocumentPath = ReadonlyArray<string | number>;

/** `devices[2].address` */
export function dottedPath(path: DocumentPath): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${step}`)).join('');
}

/** Tells the line, from 1, where a value of a text begins, or the nearest one around it that is there. */
export function valueLines(text: string): (path: DocumentPath) => number {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  return (path) => {
    for (let length = path.length; length > 0; length -= 1) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    }
    return 1;
  };
}
