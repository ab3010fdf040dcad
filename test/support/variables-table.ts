import { describe, type NodeType, partsOf, type VariableName, variableNames } from '../../shared/config-variables.ts';

/** The table of deploy/README.md, made from the variables that the code knows. */
export function variablesTable(): string {
  const rows = variableNames.map(
    (name) => `| ${[`\`${name}\``, readBy(name), describe(name).shows, meaning(name)].map(cell).join(' | ')} |`,
  );
  return ['| Variable | Read by | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}

const typeNames: readonly [NodeType, string][] = [
  ['single_node', 'single node'],
  ['distributed_master', 'master'],
  ['distributed_worker', 'worker'],
];

function readBy(name: VariableName): string {
  const readers = typeNames.filter(([type]) => partsOf[type].includes(describe(name).part));
  return readers.length === typeNames.length ? 'every node' : readers.map(([, text]) => text).join(', ');
}

function meaning(name: VariableName): string {
  const { desc, alias, secret, derived } = describe(name);
  const more = [
    derived === true ? 'Follows from the others: another value is ignored.' : '',
    alias === undefined ? '' : `Also accepted as \`${alias}\`.`,
    secret === true ? 'Secret: never printed.' : '',
  ];
  return [desc, ...more].filter((text) => text !== '').join(' ');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
