/** What a task file imports: `import { defineTask, z } from 'fasttask'`. */
export { z } from 'zod';
export {
  type Backoff,
  defineTask,
  type RetryOptions,
  type Task,
  type TaskContext,
  type TaskDefinition,
  type TaskFiles,
  type TaskLog,
  type TaskSchema,
} from './task.ts';
export { DoNotRetryError, SoftTimeLimitExceeded } from './task-errors.ts';
