/**
 * Several hosts on one machine: network namespaces, each with an address of its own, on a bridge in another one, where no firewall of
 * this machine (Docker's, for example) says what may pass. For root on Linux.
 */
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
  readonly #switch: string;

  /** @param namespace its own @param hub where the other end of its cable is, under the host's name */
  constructor(name: string, address: string, namespace: string, hub: string) {
    this.name = name;
    this.address = address;
    this.#namespace = namespace;
    this.#switch = hub;
  }

  start(command: string, args: readonly string[], launch: Launch = {}): Promise<TestProcess> {
    return startProcess('ip', ['netns', 'exec', this.#namespace, command, ...args], { name: `${command} on ${this.name}`, ...launch });
  }

  /** Pulls the cable: the host sees that its link is down. */
  unplug(): void {
    system('ip', '-n', this.#switch, 'link', 'set', 'dev', this.name, 'down');
  }

  plug(): void {
    system('ip', '-n', this.#switch, 'link', 'set', 'dev', this.name, 'up');
  }

  /** A cut somewhere else on the way: every frame is dropped, and nobody is told. */
  silence(): void {
    system('bridge', '-n', this.#switch, 'link', 'set', 'dev', this.name, 'state', '0');
  }

  unsilence(): void {
    system('bridge', '-n', this.#switch, 'link', 'set', 'dev', this.name, 'state', '3');
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
    for (const end of this.#ends)
      system('tc', '-n', end.namespace, 'qdisc', 'add', 'dev', end.device, 'root', 'tbf', 'rate', rate, ...QUEUE);
  }

  unlimit(): void {
    for (const end of this.#ends) system('tc', '-n', end.namespace, 'qdisc', 'del', 'dev', end.device, 'root');
  }

  /** The two ends of its cable. */
  get #ends() {
    return [
      { namespace: this.#switch, device: this.name },
      { namespace: this.#namespace, device: 'eth0' },
    ];
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
  readonly #id: string;
  readonly #namespaces: string[] = [];

  private constructor(id: string, address: string) {
    this.#id = id;
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
      lan.#addNamespace(id);
      system('ip', '-n', id, 'link', 'add', 'name', 'bridge', 'type', 'bridge', 'stp_state', '0');
      system('ip', '-n', id, 'link', 'set', 'dev', 'bridge', 'up');
      lan.#connect('here', id);
      system('ip', 'addr', 'add', `${lan.address}/24`, 'dev', id);
      system('ip', 'link', 'set', 'dev', id, 'up');
      for (const [index, name] of names.entries()) lan.#addHost(name, `${net}.${index + 1}`);
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
  }

  #addHost(name: string, address: string): void {
    const namespace = `${this.#id}${name}`;
    this.#addNamespace(namespace);
    this.#connect(name, 'eth0', namespace);
    system('ip', '-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) system('ip', '-n', namespace, 'link', 'set', 'dev', device, 'up');
    this.#hosts.set(name, new Host(name, address, namespace, this.#id));
  }

  #addNamespace(name: string): void {
    system('ip', 'netns', 'add', name);
    this.#namespaces.push(name);
  }

  /** A cable from a port of the bridge to a device, in this process' namespace unless another is named. */
  #connect(port: string, device: string, namespace?: string): void {
    // A cable that lies in a namespace is gone with it.
    const place = namespace === undefined ? ['netns', String(process.pid)] : ['netns', namespace];
    system('ip', '-n', this.#id, 'link', 'add', 'name', port, 'type', 'veth', 'peer', 'name', device, ...place);
    system('ip', '-n', this.#id, 'link', 'set', 'dev', port, 'master', 'bridge');
    system('ip', '-n', this.#id, 'link', 'set', 'dev', port, 'up');
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
