/** Words of documents that screens need too, apart from the schemas: a phone loads the words alone. */

/** Why a grid wants somebody's attention. */
export const gridNeeds = ['alert', 'silent', 'backlog', 'differs', 'clock', 'disk', 'card', 'never_heard'] as const;
/** Why a grid wants somebody's attention. */
export type GridNeed = (typeof gridNeeds)[number];

/** What the audit tells of. */
export const auditAreas = ['people', 'settings', 'commands', 'alerts', 'work'] as const;
/** What the audit tells of. */
export type AuditArea = (typeof auditAreas)[number];
