/** A device with its own internet for tests: a real MQTT client with a real certificate. */
import { topics } from '@villagrid/contracts';
import type { CertifiedKey } from '@villagrid/runtime';
import mqtt, { type MqttClient } from 'mqtt';

/** Who it is and where it goes. */
export interface DirectDeviceOptions {
  readonly url: string;
  readonly deviceId: string;
  readonly gridId: string;
  readonly certificate: CertifiedKey;
  readonly caPem: string;
}

/** A connected device. */
export class DirectDeviceSide {
  readonly #client: MqttClient;
  readonly #options: DirectDeviceOptions;

  private constructor(options: DirectDeviceOptions, client: MqttClient) {
    this.#options = options;
    this.#client = client;
  }

  /** Connects; rejects when it is not let in. */
  static async connect(options: DirectDeviceOptions): Promise<DirectDeviceSide> {
    const client = mqtt.connect(options.url, {
      clientId: options.deviceId,
      clean: true,
      keepalive: 60,
      reconnectPeriod: 0,
      protocolVersion: 4,
      ca: options.caPem,
      cert: options.certificate.certificatePem,
      key: options.certificate.privateKeyPem,
    });
    client.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed before CONNACK')));
    });
    return new DirectDeviceSide(options, client);
  }

  /** Publishes at QoS 1; resolves with the acknowledgement, rejects when the connection closes before it. */
  publishTo(topic: string, payload: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const onClose = () => reject(new Error('closed without an acknowledgement'));
      this.#client.once('close', onClose);
      const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
      this.#client.publish(topic, text, { qos: 1 }, (error) => {
        this.#client.removeListener('close', onClose);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  telemetry(payload: unknown): Promise<void> {
    return this.publishTo(topics.telemetry(this.#options.gridId, this.#options.deviceId), payload);
  }

  alert(payload: unknown): Promise<void> {
    return this.publishTo(topics.alerts(this.#options.gridId), payload);
  }

  end(): Promise<void> {
    return this.#client.endAsync(true);
  }
}
