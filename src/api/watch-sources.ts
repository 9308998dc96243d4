import type { PolicyModel } from "../core/policy/model.ts";
import type { Policy } from "../core/policy/policy.ts";
import {
  romanaModelId,
  romanaPolicyId,
  translateRomanaPolicy,
} from "../core/policy/translate-romana-policy.ts";
import type { ObjectBatch } from "../services/object-batch.ts";
import type { WatchKind } from "../services/resource-feed.ts";
import type { FeedSource } from "../services/watch-channel.ts";
import type { AddressState, BlockState, HostState } from "./control-plane.ts";
import { shownAddress } from "./resources/addresses.ts";
import { fullHost } from "./resources/hosts.ts";
import { originalBlock } from "./resources/original-block.ts";

/** What the streams ask of addressing. */
export interface WatchedAddressing {
  /** Revision of the store that the answers stand at. */
  revision(): number;
  /** Names of what was put or is gone, block by its CIDR, after the answers have it. */
  onBatch(
    listener: (batch: {
      readonly revision: number;
      readonly reset: boolean;
      readonly hosts: readonly string[];
      readonly blocks: readonly string[];
      readonly addresses: readonly string[];
    }) => void,
  ): () => void;
  hosts(): { readonly hosts: readonly HostState[] };
  host(name: string): HostState | undefined;
  blocks(): { readonly blocks: readonly BlockState[] } | undefined;
  block(cidr: string): BlockState | undefined;
  addresses(): readonly AddressState[];
  address(name: string): AddressState | undefined;
}

/** What the streams ask of policies. */
export interface WatchedPolicies {
  revision(): number;
  onBatch(listener: (batch: ObjectBatch) => void): () => void;
  list(): readonly Policy[];
  byId(id: string): Policy | undefined;
}

/** What the streams ask of the policies that the cluster brings. */
export interface WatchedClusterPolicies {
  revision(): number;
  onBatch(listener: (batch: ObjectBatch) => void): () => void;
  list(): readonly PolicyModel[];
  byId(id: string): PolicyModel | undefined;
}

/** What is watched. */
export interface WatchedParts {
  readonly addressing: WatchedAddressing;
  /** Romana's own documents. */
  readonly policies: WatchedPolicies;
  readonly clusterPolicies: WatchedClusterPolicies;
  readonly routes: FeedSource;
}

/** What is watched, in the shapes in which the API shows it. */
export function watchSources({
  addressing,
  policies,
  clusterPolicies,
  routes,
}: WatchedParts): Readonly<Record<WatchKind, FeedSource>> {
  const shared = (field: "hosts" | "blocks" | "addresses"): Pick<FeedSource, "revision" | "onBatch"> => ({
    revision: () => addressing.revision(),
    onBatch: (listener) =>
      addressing.onBatch((batch) =>
        listener({ revision: batch.revision, reset: batch.reset, keys: batch[field] }),
      ),
  });
  return {
    hosts: {
      ...shared("hosts"),
      entries: () => addressing.hosts().hosts.map(({ name }) => ({ key: name, host: name })),
      get: (name) => {
        const host = addressing.host(name);
        return host && { host: name, value: fullHost(host) };
      },
      identity: (name) => ({ name }),
    },
    blocks: {
      ...shared("blocks"),
      entries: () => (addressing.blocks()?.blocks ?? []).map(({ cidr, host }) => ({ key: cidr, host })),
      get: (cidr) => {
        const block = addressing.block(cidr);
        return block && { host: block.host, value: originalBlock(block) };
      },
      identity: (cidr) => ({ cidr }),
    },
    addresses: {
      ...shared("addresses"),
      entries: () => addressing.addresses().map(({ name, host }) => ({ key: name, host })),
      get: (name) => {
        const address = addressing.address(name);
        return address && { host: address.host, value: shownAddress(address) };
      },
      identity: (name) => ({ name }),
    },
    policies: modelSource(policies, clusterPolicies),
    "policy-documents": {
      revision: () => policies.revision(),
      onBatch: (listener) => policies.onBatch(listener),
      entries: () => policies.list().map(({ id }) => ({ key: id, host: "" })),
      get: (id) => {
        const policy = policies.byId(id);
        return policy && { host: "", value: policy };
      },
      identity: (id) => ({ id }),
    },
    routes,
  };
}

/**
 * The models of all policies in one stream. Both parts follow the same store, and no transaction touches both of them: a revision is told of by one of them alone.
 */
function modelSource(policies: WatchedPolicies, clusterPolicies: WatchedClusterPolicies): FeedSource {
  const modelOf = (id: string): PolicyModel | undefined => {
    const policyId = romanaPolicyId(id);
    const policy = policyId === undefined ? undefined : policies.byId(policyId);
    return policy === undefined ? clusterPolicies.byId(id) : translateRomanaPolicy(policy);
  };
  return {
    revision: () => Math.min(policies.revision(), clusterPolicies.revision()),
    onBatch: (listener) => {
      const ends = [
        policies.onBatch((batch) => listener({ ...batch, keys: batch.keys.map(romanaModelId) })),
        clusterPolicies.onBatch(listener),
      ];
      return () => ends.forEach((end) => end());
    },
    entries: () => [
      ...policies.list().map(({ id }) => ({ key: romanaModelId(id), host: "" })),
      ...clusterPolicies.list().map(({ id }) => ({ key: id, host: "" })),
    ],
    get: (id) => {
      const model = modelOf(id);
      return model && { host: "", value: model };
    },
    identity: (id) => ({ id }),
  };
}
