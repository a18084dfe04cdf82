/** What the API tells of the documents a grid is to have. */
import { Type, type Static, type TSchema } from 'typebox';
import { documentNames } from '../downsync/documents.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const actor = Type.Object({ user_id: Type.String(), name: Type.String() });

/** Name of a document, as addresses carry it. */
export const documentNameSchema = Type.Enum([...documentNames] as const);

/** How far a revision has come: not decided on yet, in force, or not taken. */
export const desiredStates = ['none', 'waiting', 'applied', 'refused', 'rolled_back'] as const;

const revision = {
  rev: Type.Integer({ description: '0 while there is none' }),
  sha256: Type.String(),
  state: Type.Enum([...desiredStates] as const),
  reason: nullable(Type.String({ description: 'why the gateway refused it or went back, in plain words' })),
  decided_at_ms: nullable(Type.Number()),
  changed_at_ms: nullable(Type.Number()),
  changed_by: nullable(actor),
  cause: nullable(
    Type.Enum(['edited', 'merged', 'renumbered'] as const, {
      description: 'edited here, merged with what was changed on the other side, or numbered anew after a restore',
    }),
  ),
};

export const desiredStateSchema = Type.Object({
  name: documentNameSchema,
  what: Type.String(),
  role: Type.String({ description: 'who may read and change it' }),
  entries: Type.Integer(),
  ...revision,
});
export type DesiredState = Static<typeof desiredStateSchema>;

export const desiredListSchema = Type.Object({ grid_id: Type.String(), documents: Type.Array(desiredStateSchema) });

export const desiredDocumentSchema = Type.Object({
  grid_id: Type.String(),
  name: documentNameSchema,
  ...revision,
  body: Type.Record(Type.String(), Type.Unknown(), { description: 'entries by id; passwords are never told' }),
  lost: Type.Array(Type.Object({ id: Type.String(), value: Type.Unknown(), side: Type.String() }), {
    description: 'changes of the other side that were not taken when this revision was made',
  }),
});
export type DesiredDocument = Static<typeof desiredDocumentSchema>;

export const desiredHistorySchema = Type.Object({
  grid_id: Type.String(),
  name: documentNameSchema,
  revisions: Type.Array(Type.Object({ ...revision, entries: Type.Integer(), lost: Type.Integer() }), {
    description: 'newest first, at most 50',
  }),
});
export type DesiredHistory = Static<typeof desiredHistorySchema>;

export const desiredPutSchema = Type.Object(
  {
    based_on: Type.Integer({ minimum: 0, description: 'revision that was changed; 0 for a first one' }),
    body: Type.Record(Type.String(), Type.Unknown(), {
      description: 'the whole document: what is left out is taken away. A person may be given a password',
    }),
  },
  { additionalProperties: false },
);
