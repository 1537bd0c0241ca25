export { rollout } from './rollout.ts';
export { run } from './run.ts';
