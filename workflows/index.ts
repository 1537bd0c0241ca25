export { lane } from './lane.ts';
export { readHistory, readLive } from './look.ts';
export { push } from './push.ts';
export { rollout } from './rollout.ts';
export { run } from './run.ts';
