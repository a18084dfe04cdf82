/** The one catalogue of errors: code, HTTP status, who reads it, what to do next. Adding an error is adding one entry. */

/** Who an error text is written for. */
export type ErrorReader = 'operator' | 'installer' | 'administrator' | 'developer';

interface Entry {
  readonly status: number;
  readonly title: string;
  readonly reader: ErrorReader;
  readonly next: string;
}

/** Every error a person or a client can meet. */
export const errorCatalogue = {
  E_LOGIN_REQUIRED: { status: 401, title: 'Log in first', reader: 'operator', next: 'Log in and try again.' },
  E_LOGIN_FAILED: {
    status: 401,
    title: 'Name or password is wrong',
    reader: 'operator',
    next: 'Check both and try again; an administrator can set a new password.',
  },
  E_LOGIN_SLOW_DOWN: {
    status: 429,
    title: 'Too many tries',
    reader: 'operator',
    next: 'Wait a few minutes, then try again.',
  },
  E_RATE_LIMIT: {
    status: 429,
    title: 'Too many requests',
    reader: 'developer',
    next: 'Slow down; the Retry-After header says how long to wait.',
  },
  E_FORBIDDEN: {
    status: 403,
    title: 'Your role does not allow this',
    reader: 'operator',
    next: 'Ask an administrator for the role this needs.',
  },
  E_PASSWORD_DUE: {
    status: 403,
    title: 'Choose a password of your own first',
    reader: 'operator',
    next: 'A one-time word is good for one thing: choosing a password. Do that, then go on.',
  },
  E_USER_NOT_FOUND: {
    status: 404,
    title: 'No such person',
    reader: 'administrator',
    next: 'Choose a person from GET /api/users.',
  },
  E_NOT_FOUND: {
    status: 404,
    title: 'There is nothing at this address',
    reader: 'operator',
    next: 'Check the address; the list of routes is at /openapi.json.',
  },
  E_GRID_NOT_FOUND: {
    status: 404,
    title: 'No such grid',
    reader: 'operator',
    next: 'Choose a grid from GET /api/grids.',
  },
  E_ALERT_NOT_FOUND: {
    status: 404,
    title: 'No such alert',
    reader: 'operator',
    next: 'Choose an alert from the list of its grid.',
  },
  E_RULE_NOT_FOUND: {
    status: 404,
    title: 'No such rule',
    reader: 'installer',
    next: 'Choose a rule from GET /api/rules/{grid_id}.',
  },
  E_RULE_TEST_NOT_FOUND: {
    status: 404,
    title: 'No such test',
    reader: 'operator',
    next: 'Begin it again; what a test found is kept for some minutes.',
  },
  E_DEVICE_NOT_FOUND: {
    status: 404,
    title: 'No such device',
    reader: 'installer',
    next: 'Choose a device from GET /api/device/{grid_id}/list.',
  },
  E_DEVICE_SILENT: {
    status: 502,
    title: 'The device does not answer as it should',
    reader: 'installer',
    next: 'Check address, port, unit number and cable, and that no other program holds its only connection.',
  },
  E_COMMANDS_OFF: {
    status: 409,
    title: 'Commands are switched off here',
    reader: 'installer',
    next: 'They are sent at the gateway, where commands.enabled in gateway.yaml switches them on for a site.',
  },
  E_COMMAND_UNKNOWN: {
    status: 404,
    title: 'This device has no such command',
    reader: 'installer',
    next: 'Choose one from GET /api/device/{grid_id}/commands.',
  },
  E_METRIC_UNKNOWN: {
    status: 404,
    title: 'No such metric',
    reader: 'developer',
    next: 'Metric ids are listed in docs/reference/metrics.md.',
  },
  E_REQUEST_INVALID: {
    status: 400,
    title: 'The request is not understood',
    reader: 'developer',
    next: 'The detail names the field; the schema is at /openapi.json.',
  },
  E_PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'The request is too large',
    reader: 'developer',
    next: 'Send less at a time.',
  },
  E_MEDIA_TYPE: {
    status: 415,
    title: 'The content type is not understood',
    reader: 'developer',
    next: 'Send application/json.',
  },
  E_NOT_IMPLEMENTED: {
    status: 501,
    title: 'This is not built yet',
    reader: 'developer',
    next: 'docs/requirements.md says what works.',
  },
  E_NOTIFY_FAILED: {
    status: 502,
    title: 'The message did not go out',
    reader: 'installer',
    next: 'Do what the detail says; docs/how-to/tell-people.md has more.',
  },
  E_CONFLICT: {
    status: 409,
    title: 'Somebody else was first',
    reader: 'operator',
    next: 'Look at the present state and decide again.',
  },
  E_BUSY: { status: 503, title: 'The server is busy', reader: 'operator', next: 'Try again in a few seconds.' },
  E_INTERNAL: {
    status: 500,
    title: 'Something went wrong on the server',
    reader: 'developer',
    next: 'Look up the correlation id in the log.',
  },
  E_CONFIG_READ: {
    status: 500,
    title: 'The configuration file cannot be read',
    reader: 'installer',
    next: 'Check the path and its permissions, or make one with `villagrid init`.',
  },
  E_CONFIG_SYNTAX: {
    status: 500,
    title: 'The configuration file is not valid YAML',
    reader: 'installer',
    next: 'Mend the line named in the detail.',
  },
  E_CONFIG_INVALID: {
    status: 500,
    title: 'A setting is missing or wrong',
    reader: 'installer',
    next: 'Mend the setting named in the detail; docs/reference/configuration.md lists all.',
  },
  E_PROFILE_INVALID: {
    status: 500,
    title: 'A device profile is wrong',
    reader: 'installer',
    next: 'Mend the line named in the detail; gateway/profiles/README.md explains the form.',
  },
  E_LINK_UNREACHABLE: {
    status: 502,
    title: 'The line or device cannot be reached',
    reader: 'installer',
    next: 'Check cable, power, name and port; a serial port is used by one program at a time.',
  },
  E_LINK_OWNED: {
    status: 409,
    title: 'The gateway owns this line',
    reader: 'installer',
    next: 'Leave out --baud, --parity and --every-speed: the gateway lends the line at its speed. Or stop it for the scan, then start it again.',
  },
  E_PORT_IN_USE: {
    status: 500,
    title: 'A port is already in use',
    reader: 'installer',
    next: 'Stop the other program or choose another port.',
  },
  E_STORE_OPEN: {
    status: 500,
    title: 'The database cannot be opened',
    reader: 'installer',
    next: 'Check the folder, its owner and the free space.',
  },
  E_TELEMETRY_SETTINGS: {
    status: 500,
    title: 'The telemetry store cannot be used as it is set up',
    reader: 'installer',
    next: 'Check url, org, bucket and token under `telemetry` in cloud.yaml; docs/how-to/keep-history-in-influxdb.md says what each product needs.',
  },
  E_TELEMETRY_AWAY: {
    status: 503,
    title: 'Older history cannot be read right now',
    reader: 'operator',
    next: 'Try again in a few minutes. What is measured meanwhile is kept and shown later.',
  },
  E_TELEMETRY_REFUSED: {
    status: 500,
    title: 'The telemetry store refused a point',
    reader: 'administrator',
    next: 'See what it says in the dead letter: the bucket’s retention may be shorter than the data is old, or another program writes the same measurement.',
  },
  E_CERTIFICATE: {
    status: 500,
    title: 'A certificate or key cannot be used',
    reader: 'installer',
    next: 'Run `villagrid doctor`, which says which one and why.',
  },
  E_TOPIC_FORBIDDEN: {
    status: 403,
    title: 'This client may not use this topic',
    reader: 'installer',
    next: 'A device writes only under its own id; check grid and device id in its topic.',
  },
  E_PAYLOAD_NOT_JSON: {
    status: 400,
    title: 'The payload is not JSON',
    reader: 'installer',
    next: "Check the node's firmware; docs/reference/telemetry.md shows the form.",
  },
  E_PAYLOAD_SCHEMA: {
    status: 400,
    title: 'The payload has not the form of telemetry',
    reader: 'installer',
    next: 'The detail names the field; docs/reference/telemetry.md shows the form.',
  },
  E_PACKET_TOO_LARGE: {
    status: 413,
    title: 'The MQTT packet is too large',
    reader: 'installer',
    next: 'Send at most 16 KiB in one publish; split a long backlog.',
  },
  E_ENVELOPE_INVALID: {
    status: 400,
    title: 'The uplink envelope cannot be decoded',
    reader: 'developer',
    next: 'It is kept in the dead letters with its reason.',
  },
  E_ENVELOPE_CONFLICT: {
    status: 409,
    title: 'The same log number came with other content',
    reader: 'administrator',
    next: 'Two boxes may share one identity: check the gateway for a cloned card.',
  },
  E_GATEWAY_UNKNOWN: {
    status: 403,
    title: 'This gateway is not registered for this grid',
    reader: 'administrator',
    next: 'Register it with `villagrid cloud grid add`.',
  },
  E_GATEWAY_SILENT: {
    status: 503,
    title: 'The gateway does not answer',
    reader: 'installer',
    next: 'Start it, then try again; `villagrid doctor` says what is wrong.',
  },
  E_NOT_DURABLE: {
    status: 503,
    title: 'The gateway could not store this',
    reader: 'operator',
    next: 'Check the free space of its card; the sender keeps its copy and sends it again.',
  },
  E_BACKUP_FAILED: {
    status: 500,
    title: 'The backup was not made',
    reader: 'installer',
    next: 'Look at the stick or folder: it has to be there, writable, and have room.',
  },
  E_BACKUP_DAMAGED: {
    status: 400,
    title: 'The backup is damaged or was changed',
    reader: 'installer',
    next: 'Nothing was restored. Copy it again, or take an older backup.',
  },
  E_BACKUP_PASSPHRASE: {
    status: 400,
    title: 'The passphrase does not open this backup',
    reader: 'installer',
    next: 'Nothing was restored. Give the passphrase it was made with; nobody can open it without.',
  },
  E_BACKUP_REFUSED: {
    status: 409,
    title: 'The backup cannot be restored here',
    reader: 'installer',
    next: 'Nothing was restored. Do what the detail says.',
  },
} as const satisfies Record<string, Entry>;

/** Code of a catalogued error. */
export type ErrorCode = keyof typeof errorCatalogue;

/** An error from the catalogue, with the detail that says what and where. */
export class VillagridError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly #next: string | undefined;

  /** `next` is for where more is known than the catalogue can say. */
  constructor(code: ErrorCode, detail: string, options: { cause?: unknown; next?: string } = {}) {
    super(`${code}: ${errorCatalogue[code].title}. ${detail}`, 'cause' in options ? { cause: options.cause } : {});
    this.#next = options.next;
    this.name = 'VillagridError';
    this.code = code;
    this.detail = detail;
  }

  /** What the reader should do next. */
  get next(): string {
    return this.#next ?? errorCatalogue[this.code].next;
  }

  /** HTTP status this error is answered with. */
  get status(): number {
    return errorCatalogue[this.code].status;
  }
}
