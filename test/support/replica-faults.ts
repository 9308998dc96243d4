import { setTimeout as sleep } from "node:timers/promises";

import { SeededRandom } from "../../src/adapters/simulation/seeded-random.ts";
import { type AddressRequest, checkAddresses } from "./address-history.ts";
import { freePorts } from "./free-ports.ts";
import { until } from "./moto-lab.ts";
import {
  AddressLoad,
  type LoadOptions,
  populate,
  Replica,
  ReplicaLab,
  type ReplicaOptions,
} from "./replica-lab.ts";

/** What a replica says of everything that addresses consist of. */
export interface AddressingViews {
  readonly addresses: readonly AddressRow[];
  readonly blocks: { readonly revision: number; readonly blocks: readonly BlockRow[] };
  readonly hosts: { readonly revision: number; readonly hosts: readonly HostRow[] };
}

interface AddressRow {
  readonly name: string;
  readonly address: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
}

interface BlockRow {
  readonly cidr: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
  readonly allocated_ip_count: number;
}

interface HostRow {
  readonly name: string;
  readonly groups: readonly { readonly cidr: string }[];
}

const LAB_HOSTS = 24;
const LAB_GROUPS = 4;

/** How long replicas may take to have the same as one that has just read everything: what was under way ends within 10 s. */
const SAME_WITHIN_MS = 25_000;

export async function readViews(replica: Replica): Promise<AddressingViews> {
  const get = async (path: string): Promise<unknown> => {
    const { status, body } = await replica.call("GET", path);
    if (status !== 200) {
      throw new Error(`${replica.id}: GET ${path}: ${status} ${JSON.stringify(body)}`);
    }
    return body;
  };
  const [addresses, blocks, hosts] = await Promise.all([
    get("/addresses"),
    get("/blocks"),
    get("/hosts?full=true"),
  ]);
  return { addresses, blocks, hosts } as AddressingViews;
}

/**
 * What is wrong after a load: empty when nothing is. A replica is started that reads everything from the store; all others have to say the same as it, the history has to
 * have an order that explains each answer (without `requests` it is not looked at), and blocks, hosts and groups have to fit together.
 */
export async function problemsAfter(
  lab: ReplicaLab,
  requests: readonly AddressRequest[] | undefined,
  options: ReplicaOptions,
): Promise<readonly string[]> {
  const [port = 0] = await freePorts(1);
  const fresh = new Replica("fresh", port, options);
  try {
    await fresh.start();
    const different = await untilSame(fresh, lab.replicas);
    const views = await readViews(fresh);
    return [...different, ...problemsOf(requests, views)];
  } finally {
    await fresh.stop();
  }
}

/** Waits until all replicas say the same as `fresh`; one phrase for each that does not, after a long time. */
async function untilSame(fresh: Replica, others: readonly Replica[]): Promise<readonly string[]> {
  let different: readonly string[] = [];
  const look = async (): Promise<boolean> => {
    const expected = await readViews(fresh);
    const found = await Promise.all(
      others.map(async (replica) => differences(replica.id, await readViews(replica), expected)),
    );
    different = found.flat();
    return different.length === 0;
  };
  await until("all replicas say the same", look, SAME_WITHIN_MS, 200).catch((error: unknown) => {
    if (different.length === 0) {
      throw error;
    }
  });
  return different;
}

function differences(id: string, found: AddressingViews, expected: AddressingViews): readonly string[] {
  return (["addresses", "blocks", "hosts"] as const).flatMap((what) => {
    const [mine, theirs] = [JSON.stringify(found[what]), JSON.stringify(expected[what])];
    if (mine === theirs) {
      return [];
    }
    let at = 0;
    while (mine[at] === theirs[at]) {
      at += 1;
    }
    const around = (text: string): string => text.slice(Math.max(0, at - 150), at + 150);
    return [
      `${id} has other ${what} than a replica that has just read them: …${around(mine)}… instead of …${around(theirs)}…`,
    ];
  });
}

/** The same for what one replica says. */
export function problemsOf(
  requests: readonly AddressRequest[] | undefined,
  views: AddressingViews,
): readonly string[] {
  const history = requests === undefined ? [] : checkAddresses(requests, views.addresses);
  return [...history, ...checkBlocks(views)];
}

/** Every address in exactly one block, of its host and owner; every block in its host's group; counts equal to addresses; no two blocks overlap. */
function checkBlocks({
  addresses,
  blocks: { blocks },
  hosts: { hosts },
}: AddressingViews): readonly string[] {
  const problems: string[] = [];
  const ranges = blocks
    .map((block) => ({ block, ...rangeOf(block.cidr) }))
    .toSorted((a, b) => a.first - b.first);
  for (const [index, { block, first }] of ranges.entries()) {
    const before = ranges[index - 1];
    if (before !== undefined && before.last >= first) {
      problems.push(
        `block ${block.cidr} of "${block.host}" overlaps ${before.block.cidr} of "${before.block.host}"`,
      );
    }
  }
  const groups = new Map(
    hosts.map(({ name, groups: list }) => [name, list.map(({ cidr }) => rangeOf(cidr))]),
  );
  for (const { block, first, last } of ranges) {
    const allowed = groups.get(block.host) ?? [];
    if (block.host !== "" && !allowed.some((group) => group.first <= first && last <= group.last)) {
      problems.push(`block ${block.cidr} lies outside the group of its host "${block.host}"`);
    }
  }
  const counts = new Map<BlockRow, number>();
  for (const { name, address, host, tenant, segment } of addresses) {
    const at = numberOf(address);
    const holding = ranges.filter(({ first, last }) => first <= at && at <= last).map(({ block }) => block);
    const [block] = holding;
    if (block === undefined || holding.length > 1) {
      problems.push(`${address} of "${name}" is in ${holding.length} blocks`);
      continue;
    }
    counts.set(block, (counts.get(block) ?? 0) + 1);
    if (block.host !== host || block.tenant !== tenant || block.segment !== segment) {
      problems.push(
        `${address} of "${name}" (${host}, ${tenant}, ${segment}) is in block ${block.cidr} of (${block.host}, ${block.tenant}, ${block.segment})`,
      );
    }
  }
  for (const block of blocks) {
    if (block.allocated_ip_count !== (counts.get(block) ?? 0)) {
      problems.push(
        `block ${block.cidr} counts ${block.allocated_ip_count} addresses and has ${counts.get(block) ?? 0}`,
      );
    }
  }
  return problems;
}

/** Resolves when so many more requests of the load have ended. */
export async function moreRequests(load: AddressLoad, count: number, withinMs = 30_000): Promise<void> {
  const wanted = load.requests.length + count;
  await until(`${count} more requests`, () => load.requests.length >= wanted, withinMs);
}

/** 5,000 allocations and releases by 16 clients unless said otherwise, some of names that all of them want. */
export function addressLoad(
  replicas: readonly Replica[],
  options: Partial<LoadOptions> & { readonly seed: number },
): AddressLoad {
  const random = new SeededRandom(options.seed);
  return new AddressLoad(replicas, {
    clients: 16,
    requests: 5_000,
    hosts: LAB_HOSTS,
    releases: 0.45,
    sharedNames: 6,
    random: () => random.next(),
    timeoutMs: 12_000,
    pauseMs: 100,
    ...options,
  });
}

/** Flags of a replica on etcd. */
export function etcdFlags(
  endpoints: readonly string[],
  prefix: string,
  ...more: readonly string[]
): readonly string[] {
  return ["--store=etcd", `--etcd-endpoints=${endpoints.join(",")}`, `--etcd-prefix=/${prefix}`, ...more];
}

/** Replicas, each with flags of its own, on `LAB_HOSTS` hosts in `LAB_GROUPS` groups. */
export async function populatedLab(options: readonly ReplicaOptions[]): Promise<ReplicaLab> {
  const lab = await ReplicaLab.start(options);
  try {
    await populate(lab.at(0), LAB_GROUPS, LAB_HOSTS);
    return lab;
  } catch (error) {
    await lab.stop();
    throw error;
  }
}

/** Who says of itself that it leads, all asked at once; `spreadMs` is how long the looks took together. */
export async function whoLeads(
  replicas: readonly Replica[],
  timeoutMs = 1_000,
): Promise<{ readonly ids: readonly string[]; readonly spreadMs: number }> {
  const started = performance.now();
  const leading = await Promise.all(
    replicas.map(async (replica) => {
      const answer = await replica.call("GET", "/status", undefined, timeoutMs).catch(() => undefined);
      return (answer?.body as { readonly leader?: boolean } | undefined)?.leader === true;
    }),
  );
  const ids = replicas.filter((_, index) => leading[index]).map(({ id }) => id);
  return { ids, spreadMs: performance.now() - started };
}

/** Waits for a leader among the replicas; answers who it is and how long that took. */
export async function nextLeader(
  replicas: readonly Replica[],
  withinMs: number,
): Promise<{ readonly id: string; readonly afterMs: number }> {
  let id = "";
  const afterMs = await until(
    "another replica leads",
    async () => {
      const { ids } = await whoLeads(replicas, 500);
      id = ids[0] ?? "";
      return id !== "";
    },
    withinMs,
    50,
  );
  return { id, afterMs };
}

/** Ends when `signal` is aborted: looks at all replicas again and again, and keeps each look in which two said at one time that they lead. */
export async function watchLeaders(
  replicas: readonly Replica[],
  signal: AbortSignal,
): Promise<{ readonly looks: number; readonly doubles: readonly string[] }> {
  const doubles: string[] = [];
  let looks = 0;
  while (!signal.aborted) {
    const { ids, spreadMs } = await whoLeads(replicas, 250);
    // A look that takes longer may see one leader before a change and the next one after it.
    if (spreadMs < 300) {
      looks += 1;
      if (ids.length > 1) {
        doubles.push(ids.join(" and "));
      }
    }
    await sleep(20);
  }
  return { looks, doubles };
}

function rangeOf(cidr: string): { readonly first: number; readonly last: number } {
  const [base = "", mask = "32"] = cidr.split("/");
  const first = numberOf(base);
  return { first, last: first + 2 ** (32 - Number(mask)) - 1 };
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
