/** Checks requests against the schemas of the route table and says which field is wrong, without repeating its value. */
import { VillagridError } from '@villagrid/contracts';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** Checks a value; throws E_REQUEST_INVALID that names the field. */
export type Check = (value: unknown) => void;

/** Compiles the check of one part of a request; `where` is `body`, `query` or `path`. */
export function compileCheck(schema: TSchema, where: string): Check {
  const compiled = Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return;
    const [first] = compiled.Errors(value);
    const field = (first?.instancePath ?? '').replaceAll('/', '.').replace(/^\./, '');
    const extra = extraFields(first);
    throw new VillagridError(
      'E_REQUEST_INVALID',
      `${where}${field === '' ? '' : `.${field}`} ${first?.message ?? 'is not as the schema says'}${extra}.`,
    );
  };
}

function extraFields(error: { readonly keyword: string; readonly params: unknown } | undefined): string {
  if (error?.keyword !== 'additionalProperties') return '';
  const { additionalProperties } = error.params as { additionalProperties?: readonly string[] };
  return additionalProperties === undefined ? '' : ` (${additionalProperties.join(', ').slice(0, 100)})`;
}

/** Turns texts of a query into numbers where the schema wants numbers; everything else stays for the check to judge. */
export function coerceQuery(schema: TSchema, query: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const properties = (schema as { properties?: Record<string, { type?: string }> }).properties ?? {};
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const type = Object.hasOwn(properties, name) ? properties[name]?.type : undefined;
    const wantsNumber = type === 'integer' || type === 'number';
    out[name] =
      wantsNumber && typeof value === 'string' && /^-?\d{1,17}(\.\d{1,9})?$/.test(value) ? Number(value) : value;
  }
  return out;
}
