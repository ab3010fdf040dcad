/** The manifests of deploy/kubernetes, and what Kubernetes' and KEDA's own schemas say of them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ScaledObject, TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { Job } from 'kubernetes-models/batch/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { PersistentVolumeClaim, Secret, Service } from 'kubernetes-models/v1';
import ts from 'typescript';
import { parseAllDocuments } from 'yaml';
import { projectDir } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';

const folder = join(projectDir, 'deploy/kubernetes');

/** The files of deploy/kubernetes. */
export const manifestFiles: readonly string[] = readdirSync(folder).sort();

/** The kinds that are used here, and the module that has their types. */
const kinds = [
  { model: Deployment, from: 'kubernetes-models/apps/v1' },
  { model: Job, from: 'kubernetes-models/batch/v1' },
  { model: PodDisruptionBudget, from: 'kubernetes-models/policy/v1' },
  { model: PersistentVolumeClaim, from: 'kubernetes-models/v1' },
  { model: Secret, from: 'kubernetes-models/v1' },
  { model: Service, from: 'kubernetes-models/v1' },
  { model: ScaledObject, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
  { model: TriggerAuthentication, from: '@kubernetes-models/keda/keda.sh/v1alpha1' },
] as const;

/** The text of one file. */
export function manifestText(file: string): string {
  return readFileSync(join(folder, file), 'utf8');
}

/** The documents of a file. @throws Error when it is no YAML, with a key twice for instance */
function documentsOf(text: string): unknown[] {
  return parseAllDocuments(text, { uniqueKeys: true }).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as unknown;
  });
}

/** The documents of one kind in all files. */
export function all<T>(model: { is: (value: unknown) => value is T }): T[] {
  return manifestFiles.flatMap((file) => documentsOf(manifestText(file))).filter(model.is);
}

/** What is wrong with the documents: by the schemas, and fields that no schema knows (a schema alone lets those pass). */
export function faultsOf(text: string): string[] {
  const documents = documentsOf(text).map((document) => ({ document, kind: kinds.find(({ model }) => model.is(document)) }));
  const lines: string[] = [];
  const faults: string[] = [];
  for (const [index, { document, kind }] of documents.entries()) {
    if (kind === undefined) {
      faults.push(`no kind that is known here: ${JSON.stringify(document).slice(0, 80)}`);
      continue;
    }
    try {
      new kind.model(JSON.parse(JSON.stringify(document))).validate();
    } catch (error) {
      faults.push(messageOf(error));
    }
    const name = `I${kind.model.name}`;
    lines.push(`const document${index}: import(${JSON.stringify(kind.from)}).${name} = ${JSON.stringify(document)};`);
  }
  return [...faults, ...typeFaults(lines.join('\n'))];
}

/** The modules that have been read: most of the time goes into them. */
const parsed = new Map<string, ts.SourceFile | undefined>();

/** What the compiler says of a module, as if it lay in the project. */
function typeFaults(text: string): string[] {
  const file = join(projectDir, 'test/support/documents-of-a-test.ts');
  const module = ts.ModuleKind.NodeNext;
  const options = { strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es5.d.ts'], module };
  const host = ts.createCompilerHost(options);
  const program = ts.createProgram([file], options, {
    ...host,
    fileExists: (name) => name === file || host.fileExists(name),
    getSourceFile: (name, version) => {
      if (name === file) return ts.createSourceFile(name, text, version);
      if (!parsed.has(name)) parsed.set(name, host.getSourceFile(name, version));
      return parsed.get(name);
    },
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '; '));
}
