/** The one HTTP and WebSocket server of gateway and cloud, over ports. */
export * from './ports.js';
export * from './create-server.js';
export { openapiDocument } from './openapi/document.js';
export * from './insight/site-insight.js';
export { anomalyView, insightView } from './views/insight.js';
export { judgeBalance, readBalanceDay } from './views/balance.js';
export { completenessUntilMs } from './handlers/grids.js';
export { Answer, type Handlers } from './handlers/handler.js';
export { gridFigures } from './views/figures.js';
export { nominal } from './views/supply-spans.js';
