import { cryptoRandom, silentLogger } from '@villagrid/runtime';
import t from 'tap';
import { createMqttDestination } from './index.js';
import { destinationSuite } from './testing/destination-suite.js';

destinationSuite(t, 'mqtt', ({ url, gatewayId, files, clock }) =>
  createMqttDestination({
    url,
    ...files,
    clientId: gatewayId,
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    backoff: { minMs: 50, maxMs: 500 },
  }),
);
