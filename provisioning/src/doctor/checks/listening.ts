/** Whether the server answers on the ports it is configured for. */
import { connect } from 'node:net';
import { at, type Check, type Finding } from '../check.js';

/** How long a port may take to answer, milliseconds. */
const answerWithinMs = 1500;

export const listening: Check = {
  id: 'listening',
  title: 'Ports',
  async run({ config }) {
    const findings: Finding[] = [];
    for (const section of ['http', 'https', 'mqtt_plain', 'mqtts']) {
      const port = at(config, section, 'port');
      if (typeof port !== 'number' || port === 0) continue;
      const open = await answers(port);
      findings.push(
        open
          ? { state: 'good', found: `${section}: port ${port} answers` }
          : {
              state: 'warning',
              found: `${section}: nothing answers on port ${port}`,
              next: 'Start the server; see its log if it does not stay up.',
            },
      );
    }
    return findings;
  },
};

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: answerWithinMs });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}
