import { describe, expect, it } from 'vitest';
import { installHint } from '../../services/redis/ensure.ts';

describe('a system without Redis', () => {
  it.each([
    ['linux', 'ID=fedora\nVERSION_ID=42\n', 'run `dnf install valkey`'],
    ['linux', 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n', 'run `dnf install valkey`'],
    ['linux', 'ID=alpine\n', 'run `apk add valkey`'],
    ['darwin', '', 'run `brew install valkey`'],
    ['linux', 'ID=unheard-of\n', 'install Valkey or Redis'],
  ])('on %s with %j is told to %s', (platform, osRelease, hint) => {
    expect(installHint(platform, osRelease)).toContain(hint);
  });
});
