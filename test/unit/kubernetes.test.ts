import { ScaledObject, TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { Job } from 'kubernetes-models/batch/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { PersistentVolumeClaim, Secret, Service } from 'kubernetes-models/v1';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../shared/config.ts';
import { rules } from '../../shared/config-variables.ts';
import { taskKeys } from '../../shared/job-scripts.ts';
import { all, faultsOf, manifestFiles, manifestText } from '../support/manifests.ts';
import { removeTempDirs, tempDir } from '../support/temp.ts';

let files: string;
beforeAll(() => {
  files = tempDir('files');
});
afterAll(removeTempDirs);

test.each(manifestFiles)(
  '%s is what Kubernetes and KEDA expect',
  (file) => {
    expect(faultsOf(manifestText(file))).toEqual([]);
  },
  60_000,
);

test.each([
  ['api.yaml', 'replicas: 2', 'replicas: two', /replicas must be/],
  ['api.yaml', 'livenessProbe:', 'livelinessProbe:', /livelinessProbe/],
  ['api.yaml', 'containerPort: 9001', 'containerPort: 9001, protocol: QUIC', /protocol|QUIC/],
  ['worker.yaml', 'apiVersion: apps/v1', 'apiVersion: apps/v2', /no kind that is known/],
  ['autoscaling.yaml', 'scaleTargetRef:', 'targetRef:', /scaleTargetRef/],
  ['autoscaling.yaml', 'maxReplicaCount: 10', 'maxReplicas: 10', /maxReplicas/],
])(
  'in %s a fault is noticed: %s → %s',
  (file, right, wrong, says) => {
    const text = manifestText(file);
    expect(text).toContain(right);
    expect(faultsOf(text.replace(right, wrong)).join('\n')).toMatch(says);
  },
  60_000,
);

/** Every pod that is made here, with the one container that it has. */
const pods = () =>
  [...all(Deployment), ...all(Job)].map(({ metadata, spec }) => {
    const pod = spec?.template.spec;
    const container = pod?.containers[0];
    if (pod === undefined || container === undefined) throw new Error(`${metadata?.name} has no container`);
    return { name: metadata?.name, pod, container };
  });

test('every pod runs as the user of the image, without privileges, and writes only to its volumes', () => {
  expect(pods().map(({ name }) => name)).toEqual(['fasttask-api', 'fasttask-worker', 'fasttask-first-account']);
  for (const { pod, container } of pods()) {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
    const mounts = container.volumeMounts?.map(({ mountPath }) => mountPath);
    // In the Dockerfile, FILES_DIR and PM2_HOME lie in these two.
    expect(mounts).toEqual(expect.arrayContaining(['/fasttask/files', '/tmp']));
    expect(container.volumeMounts?.map(({ name }) => name)).toEqual(pod.volumes?.map(({ name }) => name));
  }
});

test('the variables of every pod are a configuration that starts, with Redis from the secret', () => {
  const secretNames = Object.keys(all(Secret)[0]?.stringData ?? {});
  const types = pods().map(({ container }) => {
    const given = container.env?.map(({ name, value, valueFrom }) => {
      if (valueFrom?.secretKeyRef === undefined) return [name, value];
      expect(valueFrom.secretKeyRef.name).toBe(all(Secret)[0]?.metadata?.name);
      expect(secretNames).toContain(valueFrom.secretKeyRef.key);
      return [name, 'redis://:a-long-password@redis:6379'];
    });
    const config = loadConfig({ FILES_DIR: files, ...Object.fromEntries(given ?? []) });
    expect(config.notices).toEqual([]);
    expect(config.redis.embedded).toBe(false);
    return [config.nodeType, config.files.shared];
  });
  expect(types).toEqual([
    ['distributed_master', true],
    ['distributed_worker', true],
    ['distributed_master', false],
  ]);
});

test('no secret has a value', () => {
  expect(all(Secret).flatMap(({ stringData, data }) => [...Object.values(stringData ?? {}), ...Object.values(data ?? {})])).toEqual([
    '',
    '',
  ]);
});

test('the API is asked over HTTPS, and the workers by a command', () => {
  const [api, worker] = pods().map(({ container }) => container);
  const over = { port: 'https', scheme: 'HTTPS' };
  expect(api?.readinessProbe?.httpGet).toEqual({ path: '/ready', ...over });
  expect(api?.livenessProbe?.httpGet).toEqual({ path: '/health', ...over });
  expect(api?.ports).toEqual([{ name: 'https', containerPort: 9001 }]);
  expect(all(Service)[0]?.spec?.ports).toEqual([{ name: 'https', port: 9001, targetPort: 'https' }]);
  expect(worker?.readinessProbe?.exec?.command).toEqual(['fasttask', 'healthy']);
  // It would end jobs whenever Redis is away.
  expect(worker?.livenessProbe).toBeUndefined();
});

test('a worker that is taken away has longer than its jobs may drain', () => {
  const rule: { default?: unknown } = rules.DRAIN_TIMEOUT;
  const worker = pods().find(({ name }) => name === 'fasttask-worker');
  expect(worker?.container.env).toContainEqual({ name: 'DRAIN_TIMEOUT', value: String(rule.default) });
  expect(worker?.pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(rule.default) + 5);
});

test('names and labels lead to each other', () => {
  const labels = all(Deployment).map(({ spec }) => {
    expect(spec?.template.metadata?.labels).toEqual(spec?.selector.matchLabels);
    return spec?.selector.matchLabels;
  });
  expect(all(Service)[0]?.spec?.selector).toEqual(labels[0]);
  expect(all(PodDisruptionBudget).map(({ spec }) => spec?.selector?.matchLabels)).toEqual(labels);
  const [claim] = all(PersistentVolumeClaim);
  expect(claim?.spec?.accessModes).toEqual(['ReadWriteMany']);
  for (const { pod } of pods()) expect(pod.volumes?.[0]?.persistentVolumeClaim).toEqual({ claimName: claim?.metadata?.name });
});

test('KEDA counts the list in which the jobs of a task wait, with the password of the secret', () => {
  const [scaled] = all(ScaledObject);
  const [authentication] = all(TriggerAuthentication);
  expect(scaled?.spec?.scaleTargetRef.name).toBe('fasttask-worker');
  expect(authentication?.spec?.secretTargetRef).toEqual([{ parameter: 'password', name: 'fasttask', key: 'redis-password' }]);
  for (const { type, metadata, authenticationRef } of scaled?.spec?.triggers ?? []) {
    expect(type).toBe('redis');
    expect(authenticationRef).toEqual({ name: authentication?.metadata?.name });
    const task = /\{(\w+)\}/.exec(metadata['listName'] ?? '')?.[1] ?? '';
    expect(metadata['listName']).toBe(taskKeys(rules.REDIS_PREFIX.default ?? '', task).wait);
  }
});
