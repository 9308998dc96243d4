import type { ClusterPod } from "../../src/core/cluster/objects.ts";
import type { Ipv4 } from "../../src/core/net/ipv4.ts";
import { signal } from "../services/support.ts";
import { podNamed } from "../support/pods.ts";
import { CollectorWorld } from "./collector-world.ts";

/** How a Pod is deleted. */
export type Deletion =
  /** Its sandbox is torn down, then it goes from the API server; `lost`: nobody released its address. */
  | { readonly kind: "clean"; readonly lost: boolean }
  /** It goes from the API server at once; its interface stays for so long, and then its address is released, or lost. */
  | { readonly kind: "forced"; readonly staysMs: number; readonly lost: boolean }
  /** Its containers end, its sandbox is torn down, its address is lost; it stays in the API server. */
  | { readonly kind: "ended" };

/** A Pod as its node and the API server have it, whatever anybody knows. */
interface TruePod {
  readonly key: string;
  readonly uid: string;
  readonly host: string;
  readonly name: string;
  readonly refers: boolean;
  address: Ipv4 | undefined;
  inApi: boolean;
  phase: string;
  isUp: boolean;
  /** When it went from the API server. */
  goneAt: number;
  /** Its interface never comes up any more. */
  isOver: boolean;
}

/** What happens by itself at a time. */
interface Planned {
  readonly at: number;
  readonly run: () => Promise<void> | void;
}

const HOSTS = ["h1", "h2"] as const;

/**
 * A cluster in which everything that can be late is: Pods reach the controller after a while, addresses are taken before or after that, interfaces come up later still, reports are
 * underway, dropped or away, the API server is away with and without anybody knowing, leaders change. It checks at every moment that what lives keeps its address.
 */
export class CollectorRace {
  readonly world: CollectorWorld;
  readonly #pods: TruePod[] = [];
  readonly #queue: Planned[] = [];
  readonly #isImpatient: boolean;
  #generation = 0;
  #viewAt = 0;
  #isAway = false;
  #drops = 0;
  #lateMs = 0;
  /** Lists so far: what was on its way before one is not delivered after it. */
  #lists = 0;

  /** `isImpatient`: an operator asks for a release without grace time every 5 s. */
  private constructor(world: CollectorWorld, isImpatient: boolean) {
    this.world = world;
    this.#isImpatient = isImpatient;
    world.pods.replace([]);
    for (const host of HOSTS) {
      this.#reportEvery30s(host);
    }
  }

  static async create(isImpatient: boolean): Promise<CollectorRace> {
    return new CollectorRace(await CollectorWorld.create(), isImpatient);
  }

  /** `lagMs` until the controller hears of it, up to 60 s; `addMs` until its address is asked for, and `upMs` more until its interface is up. */
  createPod(
    slot: number,
    { lagMs, addMs, upMs }: { readonly lagMs: number; readonly addMs: number; readonly upMs: number },
  ): void {
    const key = `shop/p${slot}`;
    if (this.#pods.some((pod) => pod.key === key && pod.inApi)) {
      return;
    }
    this.#generation += 1;
    const pod: TruePod = {
      key,
      uid: `uid-${this.#generation}`,
      host: HOSTS[slot % 2] ?? "h1",
      name: `p${slot}.shop.${(0xabc00000 + this.#generation).toString(16)}`,
      refers: slot !== 3,
      address: undefined,
      inApi: true,
      phase: "Pending",
      isUp: false,
      goneAt: Infinity,
      isOver: false,
    };
    this.#pods.push(pod);
    this.#show(pod, lagMs);
    this.#after(addMs, async () => {
      pod.address = await this.world.take(pod.name, pod.refers ? pod.uid : undefined, pod.host);
      this.#after(upMs, () => {
        this.#up(pod);
      });
    });
  }

  deletePod(slot: number, how: Deletion): void {
    const pod = this.#pods.find((each) => each.key === `shop/p${slot}` && each.inApi);
    if (pod === undefined) {
      return;
    }
    switch (how.kind) {
      case "clean":
        if (!pod.isUp) {
          return;
        }
        this.#down(pod);
        this.#goFromApi(pod);
        this.#releaseOwn(pod, how.lost);
        break;
      case "forced":
        this.#goFromApi(pod);
        this.#after(how.staysMs, () => {
          if (pod.isUp) {
            this.#down(pod);
            this.#releaseOwn(pod, how.lost);
          }
        });
        break;
      case "ended":
        if (pod.isUp) {
          this.#down(pod);
          pod.phase = "Failed";
          this.#show(pod, 1000);
        }
    }
  }

  /** The next so many reports are lost, and all are on their way for so long, up to 20 s. */
  disturbReports(drops: number, lateMs: number): void {
    this.#drops = drops;
    this.#lateMs = lateMs;
  }

  /** Nothing comes from the API server any more; what follows it notices after so long, up to 30 s. */
  loseApi(noticedMs: number): void {
    if (!this.#isAway) {
      this.#isAway = true;
      this.#after(noticedMs, () => {
        if (this.#isAway) {
          this.world.problem = "watch pods: the connection is silent";
        }
      });
    }
  }

  findApi(): void {
    this.#isAway = false;
    this.#lists += 1;
    this.world.problem = "";
    this.world.pods.replace(this.#pods.filter(({ inApi }) => inApi).map((pod) => this.#objectOf(pod)));
  }

  async pass(ms: number): Promise<void> {
    const { clock } = this.world;
    const until = clock.monotonic() + ms;
    for (;;) {
      const [next] = this.#queue.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at);
      if (next === undefined) {
        break;
      }
      this.#queue.splice(this.#queue.indexOf(next), 1);
      await this.#wait(Math.max(0, next.at - clock.monotonic()));
      await next.run();
      this.#check();
    }
    await this.#wait(until - clock.monotonic());
  }

  /** What an operator asks for who does not want to wait. */
  async releaseNow(): Promise<void> {
    const { collector } = this.world;
    await collector.releaseLeaked({ graceMs: 0, dryRun: false }, signal).catch((error: { code?: string }) => {
      if (error.code !== "PODS_UNKNOWN") {
        throw error;
      }
    });
    this.#check();
  }

  /** Names of the addresses that nothing speaks for, and of those that something does. */
  outcome(): { readonly leaked: readonly string[]; readonly living: readonly string[] } {
    const living = new Set(
      this.#pods
        .filter(
          (pod) =>
            pod.isUp || (pod.inApi && pod.phase !== "Failed") || (!pod.refers && this.#isNameInApi(pod)),
        )
        .map(({ name }) => name),
    );
    const names = this.world.names();
    return {
      leaked: names.filter((name) => !living.has(name)),
      living: names.filter((name) => living.has(name)),
    };
  }

  async #wait(ms: number): Promise<void> {
    let left = ms;
    for (; this.#isImpatient && left > 5000; left -= 5000) {
      await this.#advance(5000);
      await this.releaseNow();
    }
    await this.#advance(left);
    if (this.#isImpatient) {
      await this.releaseNow();
    }
  }

  async #advance(ms: number): Promise<void> {
    await this.world.clock.advance(ms);
    // What a look began is done when the next one of its kind is.
    await this.world.collector.check(signal);
    this.#check();
  }

  /** What lives has the address that it was given, and no other has it. */
  #check(): void {
    const used = new Map<Ipv4, string>();
    for (const pod of this.#pods) {
      const { address, name, uid } = pod;
      if (pod.isUp && address !== undefined) {
        const other = used.get(address);
        if (other !== undefined) {
          throw new Error(`${address} is of two interfaces, ${other} and ${uid}`);
        }
        used.set(address, uid);
      }
      if (address !== undefined && !pod.isOver && (pod.isUp || (pod.inApi && pod.phase !== "Failed"))) {
        const record = this.world.addresses.address(name);
        if (record?.address !== address || (pod.refers && record.pod?.uid !== uid)) {
          throw new Error(
            `${name} (${uid}) lives with ${address}, and what is recorded is ${JSON.stringify(record)}`,
          );
        }
      }
    }
  }

  #isNameInApi({ key }: TruePod): boolean {
    return this.#pods.some((pod) => pod.key === key && pod.inApi);
  }

  #up(pod: TruePod): void {
    // Its node takes no longer than a minute to see that a Pod was deleted.
    if (pod.isOver || pod.address === undefined || this.world.clock.monotonic() - pod.goneAt > 60_000) {
      pod.isOver = true;
      return;
    }
    pod.isUp = true;
    if (pod.inApi) {
      pod.phase = "Running";
      this.#show(pod, 500);
    } else {
      // Begun before it was deleted: the node notices, and takes it down again.
      this.#after(40_000, () => {
        if (pod.isUp) {
          this.#down(pod);
        }
      });
    }
  }

  #down(pod: TruePod): void {
    pod.isUp = false;
    pod.isOver = true;
  }

  #goFromApi(pod: TruePod): void {
    pod.inApi = false;
    pod.goneAt = this.world.clock.monotonic();
    this.#deliver(0, () => this.world.pods.remove(this.#objectOf(pod)));
  }

  #releaseOwn({ name, uid, refers }: TruePod, lost: boolean): void {
    if (!lost) {
      this.#after(1000, async () => {
        await this.world.addresses
          .release(name, signal, { podUid: refers ? uid : "" })
          .catch((error: { code?: string }) => {
            // The collector may have been faster.
            if (error.code !== "ADDRESS_NOT_FOUND") {
              throw error;
            }
          });
      });
    }
  }

  #objectOf(pod: TruePod): ClusterPod {
    const { key, uid, phase, host: node } = pod;
    return podNamed(key, {
      uid,
      phase,
      node,
      ips: pod.isUp && pod.address !== undefined ? [pod.address] : [],
    });
  }

  #show(pod: TruePod, lagMs: number): void {
    const object = this.#objectOf(pod);
    this.#deliver(lagMs, () => this.world.pods.put(object));
  }

  /** In the order in which it happened, as a watch does it; while the API server is away nothing comes, and a list tells all later. */
  #deliver(lagMs: number, run: () => void): void {
    const { clock } = this.world;
    this.#viewAt = Math.max(this.#viewAt, clock.monotonic() + lagMs);
    const began = this.#lists;
    this.#after(this.#viewAt - clock.monotonic(), () => {
      if (!this.#isAway && began === this.#lists) {
        run();
      }
    });
  }

  #reportEvery30s(host: (typeof HOSTS)[number]): void {
    this.#after(30_000, () => {
      const interfaces = Object.fromEntries(
        this.#pods.flatMap(({ host: at, isUp, address, uid }) =>
          at === host && isUp && address !== undefined ? [[address, uid]] : [],
        ),
      );
      if (this.#drops > 0) {
        this.#drops -= 1;
      } else {
        this.#after(this.#lateMs, () => this.world.report(host, interfaces));
      }
      this.#reportEvery30s(host);
    });
  }

  #after(ms: number, run: () => Promise<void> | void): void {
    this.#queue.push({ at: this.world.clock.monotonic() + ms, run });
  }
}
