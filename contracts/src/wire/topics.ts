/** MQTT topics below `microgrid/{grid_id}/`. The telemetry and alerts topics are fixed by the product; the others are ours. */

/** Ids that appear in topics, file names and addresses. */
export const identifierPattern = '^[a-z0-9][a-z0-9_-]{0,62}$';
const identifier = new RegExp(identifierPattern);

/** Whether a text may be a grid, gateway or device id. */
export function isIdentifier(text: string): boolean {
  return identifier.test(text);
}

/** Lanes of the uplink: alerts first, live next, backfill last; session is for HELLO. */
export const lanes = ['session', 'alerts', 'live', 'backfill'] as const;
export type Lane = (typeof lanes)[number];

export const topics = {
  telemetry: (gridId: string, deviceId: string) => `microgrid/${gridId}/device/${deviceId}/telemetry`,
  /** Link state of a node by its last will: payload `online` or `offline`. */
  status: (gridId: string, deviceId: string) => `microgrid/${gridId}/device/${deviceId}/status`,
  /** Commands to a node and the answer to a request for time. */
  command: (gridId: string, deviceId: string) => `microgrid/${gridId}/device/${deviceId}/command`,
  /** A node's answer to a command. */
  ack: (gridId: string, deviceId: string) => `microgrid/${gridId}/device/${deviceId}/ack`,
  /** A node asks for the time. */
  time: (gridId: string, deviceId: string) => `microgrid/${gridId}/device/${deviceId}/time`,
  alerts: (gridId: string) => `microgrid/${gridId}/alerts`,
  up: (gridId: string, gatewayId: string, lane: Lane) => `microgrid/${gridId}/gateway/${gatewayId}/up/${lane}`,
  down: (gridId: string, gatewayId: string) => `microgrid/${gridId}/gateway/${gatewayId}/down`,
  gatewayStatus: (gridId: string, gatewayId: string) => `microgrid/${gridId}/gateway/${gatewayId}/status`,
  /** The first prototype's two topics. */
  legacyData: 'microgrid/data',
  legacyAlerts: 'microgrid/alerts',
} as const;

/** What there is below a device. */
const deviceLeaves = ['telemetry', 'status', 'command', 'ack', 'time'] as const;
type DeviceLeaf = (typeof deviceLeaves)[number];

/** What a topic is, parsed. */
export type ParsedTopic =
  | { readonly kind: DeviceLeaf; readonly gridId: string; readonly deviceId: string }
  | { readonly kind: 'alerts'; readonly gridId: string }
  | { readonly kind: 'up'; readonly gridId: string; readonly gatewayId: string; readonly lane: Lane }
  | { readonly kind: 'down' | 'gatewayStatus'; readonly gridId: string; readonly gatewayId: string }
  | { readonly kind: 'legacyData' }
  | { readonly kind: 'legacyAlerts' };

/** Parses a topic name (not a filter); undefined when it is none of ours. */
export function parseTopic(topic: string): ParsedTopic | undefined {
  if (topic === topics.legacyData) return { kind: 'legacyData' };
  if (topic === topics.legacyAlerts) return { kind: 'legacyAlerts' };
  const parts = topic.split('/');
  const [root, gridId, kind, id, leaf, lane] = parts;
  if (root !== 'microgrid' || gridId === undefined || !isIdentifier(gridId)) return undefined;
  if (parts.length === 3 && kind === 'alerts') return { kind: 'alerts', gridId };
  if (id === undefined || !isIdentifier(id)) return undefined;
  if (kind === 'device' && parts.length === 5 && deviceLeaves.includes(leaf as DeviceLeaf))
    return { kind: leaf as DeviceLeaf, gridId, deviceId: id };
  if (kind === 'gateway' && parts.length === 5 && leaf === 'down') return { kind: 'down', gridId, gatewayId: id };
  if (kind === 'gateway' && parts.length === 5 && leaf === 'status')
    return { kind: 'gatewayStatus', gridId, gatewayId: id };
  if (kind === 'gateway' && parts.length === 6 && leaf === 'up' && lanes.includes(lane as Lane)) {
    return { kind: 'up', gridId, gatewayId: id, lane: lane as Lane };
  }
  return undefined;
}
