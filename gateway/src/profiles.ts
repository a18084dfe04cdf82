/** Public surface of the device profiles: what the installer's command line and the reference pages use of them. */
export {
  busTimeMs,
  fixedLayout,
  type Layout,
  loadProfile,
  loadProfiles,
  loadVectors,
  type ModelPoint,
  planReads,
  type PollingClass,
  type Profile,
  profileFiles,
  type ProfilePoint,
  profilesDirectory,
  readLimits,
  vectorProblems,
} from './devices/index.js';
export { type TriedPoint, type TriedProfile, tryProfile } from './drivers/try-profile.js';
export { type Link, LinkError, rtuLink, serialLine, socketLine, tcpLink } from './links/index.js';
