/**
 * The process that holds aws-iot-device-sdk-v2: its native code may crash, leaks after a stop, and queues without an end
 * while it is offline. So one process is one connection; when that is gone, the process ends and with it whatever waited.
 */
import type { ChildSettings, FromChild, ToChild } from './messages.js';

/** What we use of the library, which need not be installed where this is compiled. */
interface Connection {
  on(event: 'interrupt' | 'disconnect' | 'closed' | 'error', listener: (error?: unknown) => void): this;
  on(event: 'connection_failure', listener: (result: { readonly error?: unknown }) => void): this;
  connect(): Promise<boolean>;
  publish(topic: string, payload: Uint8Array, qos: number, retain?: boolean): Promise<unknown>;
  subscribe(
    topic: string,
    qos: number,
    listener: (topic: string, payload: ArrayBuffer) => void,
  ): Promise<{ readonly error_code?: number; readonly qos?: number }>;
  disconnect(): Promise<void>;
}
interface Builder {
  with_certificate_authority_from_path(folder: undefined, file: string): Builder;
  with_endpoint(host: string): Builder;
  with_port(port: number): Builder;
  with_client_id(id: string): Builder;
  with_clean_session(clean: boolean): Builder;
  with_keep_alive_seconds(seconds: number): Builder;
  with_ping_timeout_ms(ms: number): Builder;
  with_will(will: object): Builder;
  build(): object;
}
interface Library {
  readonly iot: {
    readonly AwsIotMqttConnectionConfigBuilder: {
      new_mtls_builder_from_path(certificateFile: string, keyFile: string): Builder;
    };
  };
  readonly mqtt: {
    readonly MqttClient: new () => { new_connection(config: object): Connection };
    readonly MqttWill: new (topic: string, qos: number, payload: string, retain: boolean) => object;
  };
}

/** Not written as a literal, so that compilers and bundlers do not look for what is installed only where it is used. */
const libraryName: string = 'aws-iot-device-sdk-v2';
const atLeastOnce = 1;
const refusedQos = 128;
const pingTimeoutMs = 10_000;

/** Not from contracts: this process holds nothing but the library. */
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const say = (message: FromChild): void => void process.send?.(message);
let isEnding = false;
/** Tells why and ends: native threads would keep the process for seconds. */
const end = (reason: string, more: { missing?: boolean } = {}): void => {
  if (isEnding) return;
  isEnding = true;
  const leave = () => process.exit(0);
  if (process.send === undefined || !process.connected) return leave();
  process.send({ type: 'down', reason, ...more } satisfies FromChild, leave);
};

let connection: Connection | undefined;

async function connect(settings: ChildSettings): Promise<void> {
  let library: Library;
  try {
    const loaded = (await import(libraryName)) as { readonly default?: Library } & Library;
    library = loaded.default ?? loaded;
  } catch (error) {
    return end(`aws-iot-device-sdk-v2 cannot be loaded: ${messageOf(error).split('\n')[0]}`, { missing: true });
  }
  const { mqtt, iot } = library;
  const { host, port, clientId, caFile, certificateFile, keyFile, will } = settings;
  const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificateFile, keyFile)
    .with_certificate_authority_from_path(undefined, caFile)
    .with_endpoint(host)
    .with_port(port)
    .with_client_id(clientId)
    .with_clean_session(true)
    .with_keep_alive_seconds(settings.keepaliveS)
    .with_ping_timeout_ms(pingTimeoutMs);
  if (will) builder.with_will(new mqtt.MqttWill(will.topic, atLeastOnce, will.payload, false));
  const made = new mqtt.MqttClient().new_connection(builder.build());
  connection = made;
  const gone = (error?: unknown) => end(error === undefined ? 'the connection was closed' : messageOf(error));
  // The library would connect again by itself and send what waits: what was told as failed must not be sent after all.
  for (const event of ['interrupt', 'disconnect', 'closed', 'error'] as const) made.on(event, gone);
  made.on('connection_failure', ({ error }) => gone(error));
  await made.connect();
  const granted = await made.subscribe(settings.subscription, atLeastOnce, (topic, payload) =>
    say({ type: 'message', topic, bytes: new Uint8Array(payload) }),
  );
  if ((granted.error_code ?? 0) !== 0 || granted.qos === refusedQos)
    return end(`subscribing to ${settings.subscription} was refused`);
  say({ type: 'up' });
}

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'connect':
      return void connect(message.settings).catch((error: unknown) => end(messageOf(error)));
    case 'publish': {
      const { id, topic, bytes } = message;
      // A copy of its own: the library keeps the whole buffer that a view lies in.
      return void (
        connection?.publish(topic, Uint8Array.from(bytes), atLeastOnce, false) ?? Promise.reject(new Error('no link'))
      ).then(
        () => say({ type: 'done', id }),
        (error: unknown) => say({ type: 'failed', id, reason: messageOf(error) }),
      );
    }
    case 'end': {
      const leave = () => process.exit(0);
      isEnding = true;
      return void (connection?.disconnect() ?? Promise.resolve()).then(leave, leave);
    }
  }
});
process.on('disconnect', () => process.exit(0));
