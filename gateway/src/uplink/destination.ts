/** Where the uplink sends to, as a port: `mqtt` for any broker, `aws-iot` by Amazon's own library. A destination has no queue of its own. */

/** What a destination tells. */
export interface DestinationEvents {
  /** Connected and subscribed: publishing works. */
  up(): void;
  /** The connection is gone; it comes again by itself until `close`. */
  down(reason: string): void;
  message(topic: string, bytes: Uint8Array): void;
}

/** Bytes on the line since the start, both ways: what TLS made of them as counted, and the headers of TCP and IP as reckoned. */
export interface Traffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** A connection to the cloud that comes again by itself. */
export interface UplinkDestination {
  /** Begins to connect; subscribes to the topic at each connection. */
  open(subscription: string, events: DestinationEvents): void;
  /** Resolves when the far side has acknowledged (QoS 1); rejects when the connection is or goes down. Never queues. */
  publish(topic: string, bytes: Uint8Array): Promise<void>;
  readonly connected: boolean;
  /** What a byte budget is kept by. */
  traffic(): Traffic;
  close(): Promise<void>;
}
