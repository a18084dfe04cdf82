/** The one HTTP and WebSocket server of gateway and cloud, over ports. */
export * from './ports.js';
