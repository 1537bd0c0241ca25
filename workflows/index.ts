export { lane } from './lane.ts';
export { readHistory, readLive } from './look.ts';
export { notice } from './notice.ts';
export { push } from './push.ts';
export { report } from './report.ts';
export { rollout } from './rollout.ts';
export { run } from './run.ts';
