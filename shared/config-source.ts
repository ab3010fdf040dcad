import { readFileSync } from 'node:fs';
import { describe, type NodeType, partsOf, secretVariables, type VariableName, variableNames } from './config-variables.ts';
import type { ConfigFault } from './errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the supervisor keeps the secrets of the apps that it starts without them in their environment. */
export const SECRETS_FILE_VARIABLE = 'FASTTASK_SECRETS_FILE';

/** Variables that an external Redis makes needless. */
export const embeddedRedisVariables: readonly VariableName[] = ['MASTER_HOST', 'TASK_QUEUE_PORT', 'TASK_QUEUE_PASSWD'];

/** What was set, and what of it this node reads. */
export interface Source {
  /** Undefined when NODE_TYPE is missing or wrong: every variable is read then, to report as many faults as can be known. */
  nodeType: NodeType | undefined;
  /** The variables that are read. */
  read: Readonly<Partial<Record<VariableName, string>>>;
  /** Set, but another NODE_TYPE's. */
  unused: readonly VariableName[];
  /** Set, but REDIS_URL stands in their place. */
  replaced: readonly VariableName[];
  faults: ConfigFault[];
  /** Adds a fault under the name that was set (which may be an alias), its value hidden if it is a secret. */
  fault: (variable: VariableName, expected: string) => void;
}

/** Sorts an environment: empty counts as not set, aliases and the file of secrets are followed, what is not read is left out. */
export function gather(environment: Environment): Source {
  const faults: ConfigFault[] = [];
  const set = withoutEmpty(environment);
  const given: Partial<Record<VariableName, string>> = {};
  const nameAsSet = new Map<VariableName, string>();
  const secrets = secretsFrom(set[SECRETS_FILE_VARIABLE], faults);
  for (const name of variableNames) {
    const { alias, secret } = describe(name);
    const value = set[name] ?? (alias === undefined ? undefined : set[alias]) ?? (secret === true ? secrets[name] : undefined);
    if (value === undefined) continue;
    given[name] = value;
    if (set[name] === undefined && alias !== undefined) nameAsSet.set(name, alias);
  }

  const nodeType = nodeTypes.find((type) => type === given.NODE_TYPE?.trim());
  const names = variableNames.filter((name) => given[name] !== undefined);
  const unused = names.filter((name) => nodeType !== undefined && !partsOf[nodeType].includes(describe(name).part));
  const replaced = names.filter((name) => given.REDIS_URL !== undefined && embeddedRedisVariables.includes(name));
  const read = { ...given };
  for (const name of [...unused, ...replaced]) delete read[name];

  const fault = (variable: VariableName, expected: string) => {
    faults.push({ variable: nameAsSet.get(variable) ?? variable, value: shown(variable, given[variable]), expected });
  };
  return { nodeType, read, unused, replaced, faults, fault };
}

const nodeTypes = Object.keys(partsOf).filter((type): type is NodeType => type in partsOf);

function withoutEmpty(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1].trim() !== ''),
  );
}

/** The file (0600) holds a JSON object; names that are no secrets are passed over. */
function secretsFrom(file: string | undefined, faults: ConfigFault[]): Readonly<Record<string, string>> {
  if (file === undefined) return {};
  try {
    const secrets: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof secrets === 'object' && secrets !== null && !Array.isArray(secrets)) {
      return Object.fromEntries(Object.entries(secrets).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
    }
  } catch {
    // Reported below, as for a file of another shape.
  }
  faults.push({ variable: SECRETS_FILE_VARIABLE, value: file, expected: 'a readable JSON file of secrets' });
  return {};
}

/** The longest value that a message repeats. */
const LONGEST_SHOWN = 200;

function shown(name: VariableName, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  return secretVariables.includes(name) ? '(hidden)' : value.replaceAll(/\p{Cc}/gu, '?').slice(0, LONGEST_SHOWN);
}
