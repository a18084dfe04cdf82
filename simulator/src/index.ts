/** A virtual village that speaks the real wires. */
export { type Simulator, type SimulatorPorts, startSimulator } from './app.js';
export { loadSimulatorConfig, type SimulatorConfig } from './config.js';
export { askSimulator, type ControlAnswer, type ControlRequest, controlSocketPath } from './control/control.js';
export { loadMeasured } from './data/load.js';
export { createStickingSensors, faultCatalogue, type FaultName, type StickingSensors } from './faults/faults.js';
export { clearRoad, slowRoad, startWanProxy, type WanCondition, type WanProxy } from './link/wan-proxy.js';
export { startModbusDevice } from './modbus/device.js';
export { renderImage } from './modbus/image.js';
export { registerMap } from './modbus/maps.js';
export { canOpenPty, openPty, type Pty } from './modbus/pty.js';
export * from './modem/gsm-modem.js';
export { rtuFrame, type RtuSlave, rtuSlave, type SlaveBurst, type SlaveRequest } from './modbus/rtu-slave.js';
export {
  modbusPortsPerVillage,
  type ProfileId,
  referenceVillage,
  type VillageDevice,
  villageDevices,
  villageLine,
  villageSite,
  villageWiring,
} from './reference/devices.js';
export { villageSignals, type Signal, type Values } from './reference/signals.js';
export { defaultPlace, type Place } from './village/place.js';
export { defaultPlant, type Plant } from './village/plant.js';
export { hashNumbers, hashText, noise } from './village/noise.js';
export type { MeasuredData } from './village/measured.js';
export type { VillageFaults, VillageSnapshot, VillageState } from './village/state.js';
export { createVillage, type Village, type VillageOptions } from './village/village.js';
