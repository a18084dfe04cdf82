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
    const errors = compiled.Errors(value);
    const field = (errors[0]?.instancePath ?? '').replaceAll('/', '.').replace(/^\./, '').slice(0, 100);
    throw new VillagridError('E_REQUEST_INVALID', `${where}${field === '' ? '' : `.${field}`} ${whatIsWrong(errors)}.`);
  };
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: unknown;
}

/** The first error as a sentence's end; of a choice, everything that may be chosen. */
function whatIsWrong(errors: readonly SchemaError[]): string {
  const [first] = errors;
  if (first === undefined) return 'is not as the schema says';
  if (first.keyword === 'boolean') return 'is no field of this request';
  if (first.keyword !== 'const') return first.message;
  const allowed = errors
    .filter((one) => one.keyword === 'const' && one.instancePath === first.instancePath)
    .map((one) => String((one.params as { allowedValue?: unknown }).allowedValue));
  return `must be ${allowed.length > 1 ? 'one of ' : ''}${allowed.join(', ')}`;
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
