import { expect, test, vi } from 'vitest';
import { newJobId, parseJobId } from '../../shared/job-id.ts';

test('ids are different, well formed, and sort in the order in which they were made', () => {
  const ids = Array.from({ length: 5000 }, () => newJobId('run-1', 'resize'));
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids) expect(parseJobId(id, 'run-1')).toEqual({ task: 'resize', uuid: id.slice('run-1-resize-'.length) });
});

test('a clock that is set back brings no id back', () => {
  const before = newJobId('run', 'resize');
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  expect(newJobId('run', 'resize') > before).toBe(true);
});
