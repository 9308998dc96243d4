/**
 * The original's addressing as `behaviour.md` §2 and §3 describe it, its errors included, for making states like those that it wrote. Nothing of the program is used here.
 */

interface Range {
  Min: number;
  Max: number;
}

interface Block {
  cidr: string;
  pool: { Ranges: Range[] | null; OrigMin: number; OrigMax: number };
  revision: number;
}

interface Host {
  name: string;
  ip: string;
  agent_port: number;
  tags: Record<string, string> | null;
  k8s_info: null;
}

export interface Group {
  name: string;
  hosts: Host[] | null;
  groups: Group[] | null;
  cidr: string;
  block_to_owner: Record<string, string> | null;
  owner_to_block: Record<string, number[]> | null;
  block_to_host: Record<string, string> | null;
  blocks: Block[] | null;
  reusable_blocks: number[] | null;
  assignment: Record<string, string> | null;
  routing: string;
  dummy: boolean;
}

interface Network {
  name: string;
  cidr: string;
  block_mask: number;
  blacked_out: string[];
  host_groups: Group;
  revision: number;
}

/** An element of a topology's map: a group with groups below it, or a leaf. */
export interface MapElement {
  readonly name: string;
  readonly assignment?: Record<string, string>;
  readonly groups?: readonly MapElement[];
}

export interface NetworkPlan {
  readonly name: string;
  readonly cidr: string;
  readonly blockMask: number;
  /** Empty: any. */
  readonly tenants: readonly string[];
  readonly map: readonly MapElement[];
  readonly blackouts: readonly string[];
}

/** An address that was handed out and not given back, with whom it was handed to. */
export interface Held {
  readonly ip: string;
  readonly host: string;
  readonly tenant: string;
  readonly segment: string;
}

export class OriginalIpam {
  readonly #networks: Network[];
  readonly #tenants: Record<string, string[]> = {};
  readonly #names: Record<string, string> = {};
  /** What its clients were told, which the state does not say. */
  readonly held = new Map<string, Held>();
  /** Free addresses that returning others lost. */
  readonly lost = new Set<string>();
  #allocations = 0;
  #topologyRevision = 1;

  constructor(plans: readonly NetworkPlan[]) {
    this.#networks = plans.map(({ name, cidr, blockMask, map, blackouts }) => ({
      name,
      cidr,
      block_mask: blockMask,
      blacked_out: [...blackouts],
      host_groups: rootOf(map, cidr),
      revision: 0,
    }));
    for (const { name, tenants } of plans) {
      for (const tenant of tenants.length === 0 ? ["*"] : tenants) {
        (this.#tenants[tenant] ??= []).push(name);
      }
    }
  }

  /** The blob as it stands, as JSON text. */
  text(): string {
    return JSON.stringify({
      networks: Object.fromEntries(this.#networks.map((network) => [network.name, network])),
      AllocationRevision: this.#allocations,
      TopologyRevision: this.#topologyRevision,
      address_name_to_ip: this.#names,
      tenant_to_network: this.#tenants,
    });
  }

  /** Each host's leaf by network, `network host cidr`. */
  places(): string[] {
    return this.#networks.flatMap(({ name, cidr, host_groups: root }) =>
      leavesOf(root).flatMap((leaf) =>
        (leaf.hosts ?? []).map((host) => `${name} ${host.name} ${leaf.cidr || cidr}`),
      ),
    );
  }

  /** Each block, `cidr revision`. */
  blocks(): string[] {
    return this.#networks.flatMap(({ host_groups: root }) =>
      leavesOf(root).flatMap(({ blocks }) =>
        (blocks ?? []).map(({ cidr, revision }) => `${cidr} ${revision}`),
      ),
    );
  }

  get revision(): number {
    return this.#allocations;
  }

  addHost(name: string, ip: string, tags: Record<string, string> | null): boolean {
    let taken = false;
    for (const { host_groups: root } of this.#networks) {
      const leaf = emptiest(root, tags ?? {});
      if (leaf !== undefined) {
        (leaf.hosts ??= []).push({ name, ip, agent_port: 9604, tags, k8s_info: null });
        taken = true;
      }
    }
    this.#topologyRevision += taken ? 1 : 0;
    return taken;
  }

  /** Names, and owners of blocks, stay. */
  removeHost(name: string): void {
    for (const leaf of this.#networks.flatMap(({ host_groups: root }) => leavesOf(root))) {
      leaf.hosts = leaf.hosts?.filter((host) => host.name !== name) ?? null;
      for (const [index, host] of Object.entries(leaf.block_to_host ?? {})) {
        if (host === name) {
          delete leaf.block_to_host?.[index];
          const { pool } = blockAt(leaf, Number(index));
          pool.Ranges = [{ Min: pool.OrigMin, Max: pool.OrigMax }];
          leaf.reusable_blocks?.push(Number(index));
        }
      }
    }
    this.#topologyRevision += 1;
  }

  allocate(name: string, host: string, tenant: string, segment: string): string | undefined {
    if (this.#names[name] !== undefined) {
      return undefined;
    }
    const names = [...(this.#tenants[tenant] ?? []), ...(this.#tenants["*"] ?? [])];
    for (const network of names.flatMap((each) => this.#networks.find((item) => item.name === each) ?? [])) {
      const leaf = leavesOf(network.host_groups).find((each) =>
        each.hosts?.some((item) => item.name === host),
      );
      const ip = leaf && allocateIn(network, leaf, host, `${tenant}:${segment}`);
      if (ip !== undefined) {
        this.#names[name] = ip;
        this.held.set(name, { ip, host, tenant, segment });
        this.lost.delete(ip);
        this.#allocations += 1;
        network.revision += 1;
        return ip;
      }
    }
    return undefined;
  }

  release(name: string): void {
    const ip = this.#names[name];
    if (ip === undefined) {
      return;
    }
    const value = valueOf(ip);
    for (const network of this.#networks) {
      for (const leaf of leavesOf(network.host_groups)) {
        const index = (leaf.blocks ?? []).findIndex(
          ({ pool }) => value >= pool.OrigMin && value <= pool.OrigMax,
        );
        const block = leaf.blocks?.[index];
        if (block !== undefined) {
          if (isFree(block, value)) {
            return;
          }
          this.#giveBack(block, value);
          block.revision += 1;
          network.revision += 1;
          this.#allocations += 1;
          delete this.#names[name];
          this.held.delete(name);
          if (isEmpty(block)) {
            this.#disown(leaf, index);
          }
        }
      }
    }
  }

  #disown(leaf: Group, index: number): void {
    const owner = leaf.block_to_owner?.[index] ?? "";
    delete leaf.block_to_owner?.[index];
    delete leaf.block_to_host?.[index];
    if (leaf.owner_to_block?.[owner] !== undefined) {
      leaf.owner_to_block[owner] = leaf.owner_to_block[owner].filter((each) => each !== index);
    }
    leaf.reusable_blocks?.push(index);
  }

  /** Merges with its neighbours; put before several others that it touches none of, only the next one stays. */
  #giveBack({ pool }: Block, value: number): void {
    const ranges = pool.Ranges ?? [];
    const next = ranges.findIndex(({ Min }) => Min > value);
    const at = next < 0 ? ranges.length : next;
    const [before, after] = [ranges[at - 1], ranges[at]];
    if (before?.Max === value - 1) {
      before.Max = value;
      if (after?.Min === value + 1) {
        before.Max = after.Max;
        ranges.splice(at, 1);
      }
    } else if (after?.Min === value + 1) {
      after.Min = value;
    } else {
      for (const { Min, Max } of ranges.splice(at + 1)) {
        for (let gone = Min; gone <= Max; gone += 1) {
          this.lost.add(textOf(gone));
        }
      }
      ranges.splice(at, 0, { Min: value, Max: value });
    }
    pool.Ranges = ranges;
  }
}

function rootOf(map: readonly MapElement[], cidr: string): Group {
  const [only] = map;
  if (only !== undefined && map.length === 1) {
    return groupOf(only, cidr, true);
  }
  return { ...emptyGroup("", "/"), ...NO_TABLES, groups: carved(map, cidr, true) };
}

/** Groups below the first level lose their names. */
function groupOf({ name, assignment, groups = [] }: MapElement, cidr: string, isTop: boolean): Group {
  const group = { ...emptyGroup(cidr, isTop ? name : ""), assignment: assignment ?? null };
  return groups.length === 0 ? { ...group, hosts: [] } : { ...group, groups: carved(groups, cidr, false) };
}

function carved(elements: readonly MapElement[], cidr: string, isTop: boolean): Group[] {
  const [first, length] = rangeOf(cidr);
  const bits = elements.length < 2 ? 0 : 32 - Math.clz32(elements.length - 1);
  const own = length + bits;
  return Array.from({ length: 2 ** bits }, (_, index) => {
    const below = `${textOf(first + index * 2 ** (32 - own))}/${own}`;
    const element = elements[index];
    return element === undefined ? { ...emptyGroup(below, ""), hosts: [] } : groupOf(element, below, isTop);
  });
}

const NO_TABLES = {
  block_to_owner: null,
  owner_to_block: null,
  block_to_host: null,
  blocks: null,
  reusable_blocks: null,
};

function emptyGroup(cidr: string, name: string): Group {
  return {
    name,
    hosts: null,
    groups: null,
    cidr,
    block_to_owner: {},
    owner_to_block: {},
    block_to_host: {},
    blocks: [],
    reusable_blocks: [],
    assignment: null,
    routing: "",
    dummy: false,
  };
}

function leavesOf(group: Group): Group[] {
  return group.groups === null ? [group] : group.groups.flatMap(leavesOf);
}

function countHosts(group: Group): number {
  return leavesOf(group).reduce((sum, { hosts }) => sum + (hosts?.length ?? 0), 0);
}

/** The eligible leaf with the fewest hosts; nested groups compete with theirs. */
function emptiest(group: Group, tags: Record<string, string>): Group | undefined {
  if (!Object.entries(group.assignment ?? {}).every(([key, value]) => tags[key] === value)) {
    return undefined;
  }
  if (group.groups === null) {
    return group;
  }
  const candidates = group.groups.flatMap((child) => emptiest(child, tags) ?? []);
  let best: Group | undefined;
  for (const candidate of candidates) {
    if (best === undefined || countHosts(candidate) < countHosts(best)) {
      best = candidate;
    }
  }
  return best;
}

function allocateIn(network: Network, leaf: Group, host: string, owner: string): string | undefined {
  const own = (leaf.owner_to_block?.[owner] ?? []).filter((index) => leaf.block_to_host?.[index] === host);
  for (const index of own) {
    const ip = takeFrom(network, blockAt(leaf, index));
    if (ip !== undefined) {
      return ip;
    }
  }
  for (const [position, index] of (leaf.reusable_blocks ?? []).entries()) {
    const ip = takeFrom(network, blockAt(leaf, index));
    if (ip !== undefined) {
      leaf.reusable_blocks?.splice(position, 1);
      acquire(leaf, index, owner, host);
      return ip;
    }
  }
  for (;;) {
    const index = addBlock(network, leaf);
    if (index === undefined) {
      return undefined;
    }
    acquire(leaf, index, owner, host);
    const ip = takeFrom(network, blockAt(leaf, index));
    if (ip !== undefined) {
      return ip;
    }
  }
}

function acquire(leaf: Group, index: number, owner: string, host: string): void {
  const { block_to_owner: owners, block_to_host: hosts, owner_to_block: indices } = leaf;
  if (owners === null || hosts === null || indices === null) {
    throw new TypeError("a leaf has tables");
  }
  owners[index] = owner;
  hosts[index] = host;
  (indices[owner] ??= []).push(index);
}

function addBlock({ block_mask: mask, cidr: whole }: Network, leaf: Group): number | undefined {
  const [first, length] = rangeOf(leaf.cidr || whole);
  const last = leaf.blocks?.at(-1);
  const start = last === undefined ? first : last.pool.OrigMax + 1;
  const end = start + 2 ** (32 - mask) - 1;
  if (start > first + 2 ** (32 - length) - 1) {
    return undefined;
  }
  return (
    (leaf.blocks?.push({
      cidr: `${textOf(start)}/${mask}`,
      pool: { Ranges: [{ Min: start, Max: end }], OrigMin: start, OrigMax: end },
      revision: 0,
    }) ?? 0) - 1
  );
}

/** The lowest free address that is not blacked out; the block's revision counts an attempt in vain too. */
function takeFrom({ blacked_out: blackouts }: Network, block: Block): string | undefined {
  const { pool } = block;
  block.revision += 1;
  for (const range of pool.Ranges ?? []) {
    for (let value = range.Min; value <= range.Max; value += 1) {
      if (!blackouts.some((cidr) => isIn(value, cidr))) {
        pool.Ranges = split(pool.Ranges ?? [], range, value);
        return textOf(value);
      }
    }
  }
  return undefined;
}

function split(ranges: readonly Range[], range: Range, value: number): Range[] | null {
  const left = ranges.flatMap((each) =>
    each === range
      ? [
          { Min: each.Min, Max: value - 1 },
          { Min: value + 1, Max: each.Max },
        ].filter(({ Min, Max }) => Min <= Max)
      : [each],
  );
  return left.length === 0 ? null : left;
}

function blockAt(leaf: Group, index: number): Block {
  const block = leaf.blocks?.[index];
  if (block === undefined) {
    throw new RangeError(`there is no block ${index}`);
  }
  return block;
}

function isFree({ pool }: Block, value: number): boolean {
  return (pool.Ranges ?? []).some(({ Min, Max }) => value >= Min && value <= Max);
}

function isEmpty({ pool }: Block): boolean {
  return (
    (pool.Ranges ?? []).reduce((sum, { Min, Max }) => sum + Max - Min + 1, 0) ===
    pool.OrigMax - pool.OrigMin + 1
  );
}

function isIn(value: number, cidr: string): boolean {
  const [first, length] = rangeOf(cidr);
  return value >= first && value < first + 2 ** (32 - length);
}

function rangeOf(cidr: string): [number, number] {
  const [ip = "", length = ""] = cidr.split("/");
  return [valueOf(ip), Number(length)];
}

function valueOf(ip: string): number {
  return ip.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
