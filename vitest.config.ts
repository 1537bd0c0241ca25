import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Real servers on two cores: what waits for them gets time, and files do not crowd each other out.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    testTimeout: 120_000,
    hookTimeout: 600_000,
    maxWorkers: 2,
    reporters: ['default', './test/count-reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'fast', include: ['test/{domain,cli,activities,workflows,replay}/**/*.test.ts'] },
      },
      {
        extends: true,
        test: { name: 'real', include: ['test/{local,server,e2e}/**/*.test.ts'], fileParallelism: false },
      },
    ],
  },
});
