/** The OpenAPI 3.1 document, generated from the route table. */
import * as contracts from '@villagrid/contracts';
import { errorCatalogue, problemSchema, type Route } from '@villagrid/contracts';

type Json = Record<string, unknown>;

/** Named schemas of the contract: `summarySchema` becomes the component `Summary`. */
const components = new Map<unknown, string>(
  Object.entries(contracts)
    .filter(([name, value]) => name.endsWith('Schema') && typeof value === 'object')
    .map(([name, value]) => [value, name.charAt(0).toUpperCase() + name.slice(1, -'Schema'.length)]),
);

/** Makes the document for a route table. */
export function openapiDocument(routes: readonly Route[], version: string): Json {
  const used = new Map<string, Json>();
  const problem = reference(problemSchema, used);
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = (paths[route.path] ??= {});
    path[route.method.toLowerCase()] = operation(route, problem, used);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Villagrid',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: 'One API, served by gateway and cloud. Times are Unix milliseconds; errors are problem documents.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: Object.fromEntries([...used].sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'from POST /api/auth/login' } },
    },
  };
}

function operation(route: Route, problem: Json, used: Map<string, Json>): Json {
  const { access } = route;
  const parameters = [...parametersOf(route.params, 'path', used), ...parametersOf(route.query, 'query', used)];
  const produces = route.produces ?? 'application/json';
  const problems = (statuses: readonly number[]) =>
    Object.fromEntries(
      statuses.map((status) => [
        String(status),
        { description: codesOf(status), content: { 'application/problem+json': { schema: problem } } },
      ]),
    );
  const statuses = [
    ...(parameters.length > 0 || route.body !== undefined ? [400] : []),
    ...(access.kind === 'public' ? [] : [401]),
    ...(access.kind === 'role' ? [403, 404] : access.kind === 'anywhere' ? [403] : []),
    ...(route.body === undefined ? [] : [409, 413, 415]),
    ...(route.id === 'login' || route.id === 'legacyLogin' ? [401, 429] : []),
    500,
  ];
  const success = route.websocket
    ? { 101: { description: 'WebSocket; frames are described in contracts/src/api/live.ts' } }
    : { 200: { description: route.summary, content: { [produces]: { schema: reference(route.response, used) } } } };
  const down = route.id === 'health' ? { 503: { description: 'down', content: success[200]?.content } } : {};
  return {
    operationId: route.id,
    summary: route.summary,
    ...(access.kind === 'public' ? { security: [] } : { security: [{ token: [] }] }),
    'x-access':
      access.kind === 'role'
        ? `${access.role} on grid (${access.grid})`
        : access.kind === 'anywhere'
          ? `${access.role} of any grid`
          : access.kind,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: reference(route.body, used) } } } }),
    responses: { ...success, ...problems([...new Set(statuses)].sort((a, b) => a - b)), ...down },
  };
}

/** Codes of the catalogue with a status, for the description of an answer. */
function codesOf(status: number): string {
  return Object.entries(errorCatalogue)
    .filter(
      ([code, entry]) =>
        entry.status === status &&
        !/^E_(CONFIG|PROFILE|PORT|STORE|CERT|ENVELOPE|PAYLOAD_[NS]|PACKET|TOPIC|GATEWAY)/.test(code),
    )
    .map(([code]) => code)
    .join(', ');
}

function parametersOf(schema: unknown, where: 'path' | 'query', used: Map<string, Json>): Json[] {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    properties?: Record<string, Json>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    ...(typeof property.description === 'string' ? { description: property.description } : {}),
    schema: plain(property, used),
  }));
}

/** A schema, or the reference to its component. */
function reference(schema: unknown, used: Map<string, Json>): Json {
  const name = components.get(schema);
  if (name === undefined) return plain(schema, used) as Json;
  if (!used.has(name)) {
    used.set(name, {});
    used.set(name, plain(schema, used) as Json);
  }
  return { $ref: `#/components/schemas/${name}` };
}

/** A copy as plain JSON, nested named schemas replaced by references. */
function plain(value: unknown, used: Map<string, Json>): unknown {
  if (Array.isArray(value)) return value.map((item) => nested(item, used));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, nested(item, used)]));
}

const nested = (value: unknown, used: Map<string, Json>): unknown =>
  components.has(value) ? reference(value, used) : plain(value, used);
