/** What the gateway and the process that holds the AWS library say to each other. */

/** How to connect; files are paths. */
export interface ChildSettings {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly keepaliveS: number;
  readonly subscription: string;
  readonly will: { readonly topic: string; readonly payload: string } | undefined;
}

export type ToChild =
  | { readonly type: 'connect'; readonly settings: ChildSettings }
  | { readonly type: 'publish'; readonly id: number; readonly topic: string; readonly bytes: Uint8Array }
  | { readonly type: 'end' };

export type FromChild =
  | { readonly type: 'up' }
  | { readonly type: 'done'; readonly id: number }
  | { readonly type: 'failed'; readonly id: number; readonly reason: string }
  | { readonly type: 'message'; readonly topic: string; readonly bytes: Uint8Array }
  /** The connection is gone or never came; the process ends. */
  | { readonly type: 'down'; readonly reason: string; readonly missing?: boolean };
