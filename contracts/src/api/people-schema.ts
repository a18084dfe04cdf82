/** Documents of people: accounts as an administrator sees them, whom an alert may be given to, and the audit. */
import { Type, type Static, type TSchema } from 'typebox';
import { roles } from '../auth/roles.js';
import { auditAreas, type AuditArea } from './words.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });
const role = Type.Unsafe<(typeof roles)[number]>(Type.Enum([...roles]));
const named = Type.String({ minLength: 1, maxLength: 64 });

export const grantSchema = Type.Object({
  role,
  scope: Type.Union([
    Type.Object({ kind: Type.Literal('grid'), grid_id: named }),
    Type.Object({ kind: Type.Literal('organisation'), organisation_id: named }),
    Type.Object({ kind: Type.Literal('everything') }),
  ]),
});

export const accountSchema = Type.Object({
  user_id: Type.String(),
  username: Type.String(),
  display_name: Type.String(),
  role: nullable(role),
  grants: Type.Array(grantSchema),
  disabled: Type.Boolean(),
  password_due: Type.Boolean({ description: 'waits for its person to come with the one-time word' }),
  created_at_ms: time('when it was made'),
  self: Type.Boolean({ description: 'the person who asks' }),
  may_change: Type.Boolean({ description: 'whether the person who asks may change it: never their own' }),
});
export type AccountView = Static<typeof accountSchema>;

export const accountListSchema = Type.Object({
  now_ms: time('the server’s clock'),
  users: Type.Array(accountSchema, { description: 'who may see a grid that the person who asks administers' }),
});
export type AccountList = Static<typeof accountListSchema>;

const displayName = Type.String({ minLength: 1, maxLength: 100 });
const grants = Type.Array(grantSchema, { maxItems: 200 });

export const newAccountSchema = Type.Object(
  { username: Type.String({ minLength: 1, maxLength: 64 }), display_name: displayName, grants },
  { additionalProperties: false },
);
export type NewAccountRequest = Static<typeof newAccountSchema>;

export const changeAccountSchema = Type.Object(
  { grants: Type.Optional(grants), disabled: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);

/** An account with the word its person logs in with once. */
export const accountWithWordSchema = Type.Object({
  user: accountSchema,
  one_time_word: Type.String({ description: 'told once and kept nowhere; good for a week, and for one thing only' }),
  word_life_s: Type.Integer(),
});
export type AccountWithWord = Static<typeof accountWithWordSchema>;

export const choosePasswordSchema = Type.Object(
  {
    present: Type.String({ minLength: 1, maxLength: 1024, description: 'the password or one-time word of now' }),
    password: Type.String({ minLength: 8, maxLength: 1024 }),
  },
  { additionalProperties: false },
);

export const assigneesSchema = Type.Object({
  grid_id: Type.String(),
  people: Type.Array(Type.Object({ user_id: Type.String(), name: Type.String() }), {
    description: 'who may act on alerts of the grid, by name',
  }),
});
export type Assignees = Static<typeof assigneesSchema>;

export const auditEntrySchema = Type.Object({
  id: Type.String(),
  at_ms: time('when it was done'),
  area: Type.Unsafe<AuditArea>(Type.Enum([...auditAreas])),
  kind: Type.String({ description: 'what was done, in one word' }),
  actor: Type.Object({ user_id: Type.String(), name: Type.String() }),
  about: Type.String({ description: 'to whom or what' }),
  detail: nullable(Type.String({ description: 'note, reason, value or role' })),
  alert_id: nullable(Type.String()),
});
export type AuditEntry = Static<typeof auditEntrySchema>;

export const auditSchema = Type.Object({
  grid_id: Type.String(),
  now_ms: time('the server’s clock'),
  from_ms: time('start'),
  to_ms: time('end'),
  entries: Type.Array(auditEntrySchema, { description: 'newest first' }),
  more: Type.Boolean({ description: 'whether older ones of the time were left out' }),
});
export type Audit = Static<typeof auditSchema>;
