/** A CPU profile of V8, summed up: which functions and which packages the time was spent in. */

/** The part of a `.cpuprofile` that is read here. */
export interface CpuProfile {
  nodes: { callFrame: { functionName: string; url: string; lineNumber: number }; hitCount?: number }[];
}

export interface Share {
  name: string;
  /** Part of all samples, 0 to 1. */
  share: number;
}

/** V8's own names of what is no function. */
const OWN_NAMES: ReadonlyMap<string, string> = new Map([
  ['(garbage collector)', 'gc'],
  ['(idle)', 'idle'],
  ['(program)', 'program'],
]);

/**
 * Self time by function and by package, the largest first. A sample that was taken while the process stood still counts as one, whatever
 * its length.
 */
export function summarise({ nodes }: CpuProfile): { functions: Share[]; packages: Share[] } {
  const functions = new Map<string, number>();
  const packages = new Map<string, number>();
  let total = 0;
  for (const { callFrame, hitCount = 0 } of nodes) {
    if (hitCount === 0) continue;
    total += hitCount;
    const home = packageOf(callFrame);
    const label = OWN_NAMES.get(callFrame.functionName) ?? `${callFrame.functionName || '(anonymous)'} ${placeOf(callFrame)}`;
    functions.set(label, (functions.get(label) ?? 0) + hitCount);
    packages.set(home, (packages.get(home) ?? 0) + hitCount);
  }
  return { functions: sharesOf(functions, total), packages: sharesOf(packages, total) };
}

/** Whose code a function is: a package, a folder of the project, `node`, `native`, or one of V8's own. */
export function packageOf({ functionName, url }: { functionName: string; url: string }): string {
  const own = OWN_NAMES.get(functionName);
  if (own !== undefined) return own;
  if (url.startsWith('node:')) return 'node';
  if (!url.includes('/')) return 'native';
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
  if (name !== undefined) return name;
  const [, folder] = /\/dist\/(services\/[^/]+|shared)\//.exec(url) ?? [];
  return folder ?? 'other';
}

/** File and line, from the package or the project's folder on. */
function placeOf({ url, lineNumber }: { url: string; lineNumber: number }): string {
  if (url === '') return '';
  const file = url.includes('/node_modules/') ? url.replace(/^.*\/node_modules\//, '') : url.replace(/^.*\/dist\//, '');
  return `${file}:${lineNumber + 1}`;
}

function sharesOf(hits: ReadonlyMap<string, number>, total: number): Share[] {
  return [...hits].map(([name, count]) => ({ name, share: count / total })).sort((a, b) => b.share - a.share);
}

/** The largest shares as text. */
export function profileText(profile: CpuProfile, top = 25): string {
  const { functions, packages } = summarise(profile);
  const lines = (shares: readonly Share[]) => shares.map(({ name, share }) => `${(share * 100).toFixed(1).padStart(5)} %  ${name}`);
  return [
    'self time by package',
    ...lines(packages),
    '',
    `self time by function, the first ${top}`,
    ...lines(functions.slice(0, top)),
  ].join('\n');
}
