/** Several hosts on one machine: network namespaces on a bridge, each with an address of its own. For root on Linux. */
import { execFileSync } from 'node:child_process';
import { type Launch, startProcess, type TestProcess } from '../support/processes.ts';

const PROGRAMS = ['ip', 'bridge', 'tc', 'iptables'];

/** Where this process stands on the network of a test. */
const OWN_NUMBER = 254;

/** What a rate-limited link holds back before it drops, in milliseconds, and how much it lets through at once. */
const QUEUE = ['burst', '32kbit', 'latency', '400ms'];

function system(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 10_000 });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error);
    throw new Error(`${program} ${args.join(' ')} failed: ${said}`, { cause: error });
  }
}

/** One host: what runs in it sees its own interface and nothing of this machine's. */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly #namespace: string;
  /** The other end of its cable, on the bridge. */
  readonly #port: string;

  constructor(name: string, address: string, namespace: string, port: string) {
    this.name = name;
    this.address = address;
    this.#namespace = namespace;
    this.#port = port;
  }

  start(command: string, args: readonly string[], launch: Launch = {}): Promise<TestProcess> {
    return startProcess('ip', ['netns', 'exec', this.#namespace, command, ...args], { name: `${command} on ${this.name}`, ...launch });
  }

  /** Pulls the cable: the host sees that its link is down. */
  unplug(): void {
    system('ip', 'link', 'set', this.#port, 'down');
  }

  plug(): void {
    system('ip', 'link', 'set', this.#port, 'up');
  }

  /** A cut somewhere else on the way: every frame is dropped, and nobody is told. */
  silence(): void {
    system('bridge', 'link', 'set', 'dev', this.#port, 'state', '0');
  }

  unsilence(): void {
    system('bridge', 'link', 'set', 'dev', this.#port, 'state', '3');
  }

  /** Drops a share (0 to 1) of what arrives, and nothing of what is sent. */
  loseIncoming(share: number): void {
    this.#iptables('-A', 'INPUT', '-m', 'statistic', '--mode', 'random', '--probability', String(share), '-j', 'DROP');
  }

  loseNothing(): void {
    this.#iptables('-F', 'INPUT');
  }

  /** How many packets `loseIncoming` has dropped. */
  get lost(): number {
    const [, packets] = /^\s*(\d+)\s+\d+\s+DROP/m.exec(this.#iptables('-L', 'INPUT', '-v', '-n', '-x')) ?? [];
    return Number(packets);
  }

  /** Limits both directions, such as `1mbit`. */
  limit(rate: string): void {
    system('tc', 'qdisc', 'add', 'dev', this.#port, 'root', 'tbf', 'rate', rate, ...QUEUE);
    system('tc', '-n', this.#namespace, 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', rate, ...QUEUE);
  }

  unlimit(): void {
    system('tc', 'qdisc', 'del', 'dev', this.#port, 'root');
    system('tc', '-n', this.#namespace, 'qdisc', 'del', 'dev', 'eth0', 'root');
  }

  #iptables(...args: string[]): string {
    return system('ip', 'netns', 'exec', this.#namespace, 'iptables', '-w', ...args);
  }
}

/** A network of hosts. Made anew for a test, and gone with it. */
export class Lan {
  /** Where this process is reached by the hosts. */
  readonly address: string;
  readonly #hosts = new Map<string, Host>();
  readonly #bridge: string;
  readonly #namespaces: string[] = [];

  private constructor(bridge: string, address: string) {
    this.#bridge = bridge;
    this.address = address;
  }

  /** Why hosts cannot be made here; undefined when they can. */
  static get missing(): string | undefined {
    if (process.platform !== 'linux') return 'network namespaces need Linux';
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    const path = `${process.env['PATH']}:/usr/sbin:/sbin`;
    const absent = PROGRAMS.filter((name) => !works(() => execFileSync('sh', ['-c', `command -v ${name}`], { env: { PATH: path } })));
    if (absent.length > 0) return `not found: ${absent.join(', ')} (Debian: apt-get install iproute2 iptables)`;
    const probe = `ft${process.pid}`;
    if (!works(() => system('ip', 'netns', 'add', probe))) return 'this root may not make network namespaces';
    system('ip', 'netns', 'del', probe);
    return undefined;
  }

  /** Makes the hosts; their names are short, as names of interfaces are. @throws Error with what the system said */
  static make(names: readonly string[]): Lan {
    const id = `ft${process.pid}`;
    const net = freeNetwork();
    const lan = new Lan(id, `${net}.${OWN_NUMBER}`);
    try {
      system('ip', 'link', 'add', id, 'type', 'bridge', 'stp_state', '0');
      system('ip', 'addr', 'add', `${lan.address}/24`, 'dev', id);
      system('ip', 'link', 'set', id, 'up');
      for (const [index, name] of names.entries()) lan.#plugIn(name, `${net}.${index + 1}`, `${id}${name}`);
    } catch (error) {
      lan.remove();
      throw error;
    }
    return lan;
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`expected one of the hosts ${[...this.#hosts.keys()].join(', ')}, got ${name}`);
    return host;
  }

  /** Takes everything away, whatever state it is in. The processes of the hosts must have been ended. */
  remove(): void {
    for (const namespace of this.#namespaces.splice(0)) works(() => system('ip', 'netns', 'del', namespace));
    works(() => system('ip', 'link', 'del', this.#bridge));
  }

  #plugIn(name: string, address: string, id: string): void {
    system('ip', 'netns', 'add', id);
    this.#namespaces.push(id);
    system('ip', 'link', 'add', id, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', id);
    system('ip', 'link', 'set', id, 'master', this.#bridge);
    system('ip', '-n', id, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) system('ip', '-n', id, 'link', 'set', device, 'up');
    system('ip', 'link', 'set', id, 'up');
    this.#hosts.set(name, new Host(name, address, id, id));
  }
}

/** A /24 of 198.18.0.0/15, which is set aside for tests like these, that no interface here has. */
function freeNetwork(): string {
  const taken = system('ip', '-4', '-o', 'addr', 'show');
  for (let step = 0; step < 512; step += 1) {
    const number = (process.pid + step) % 512;
    const net = `198.${18 + Math.floor(number / 256)}.${number % 256}`;
    if (!taken.includes(` ${net}.`)) return net;
  }
  throw new Error('no free network in 198.18.0.0/15');
}

function works(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
