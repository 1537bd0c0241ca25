/** The task queue of workflows and of activities that may deploy. */
export const deployQueue = 'sluice';

/** Any build worker takes a commit from here; it answers with a task queue of its own for the rest. */
export const buildQueue = 'sluice-build';
