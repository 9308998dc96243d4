import { findViolation, type Operation, type RegisterModel } from "./linearizability.ts";

/** How a request to the API ended. `unknown`: no answer, or one that leaves it open; then it may have been done at any time since. */
export type Answer =
  | { readonly kind: "allocated"; readonly address: string }
  | { readonly kind: "exists"; readonly address: string }
  | { readonly kind: "released" }
  | { readonly kind: "not-found" }
  /** Surely not done. */
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "unknown"; readonly why: string };

/** One request of one client. Times by one clock. */
export interface AddressRequest {
  readonly kind: "allocate" | "release";
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly answer: Answer;
}

/** What stands at the end, when nothing is under way any more. */
export type FinalAddresses = readonly { readonly name: string; readonly address: string }[];

/** A name holds an address, or none. */
type NameCall =
  | { readonly kind: "allocate" | "exists" | "read"; readonly address: string }
  | { readonly kind: "allocate-any" | "release" | "not-found" | "read-none" };

const nameModel: RegisterModel<string, NameCall> = {
  initial: "",
  step(held, call) {
    switch (call.kind) {
      case "allocate":
        return held === "" ? call.address : undefined;
      case "allocate-any":
        return held === "" ? "?" : undefined;
      case "exists":
      case "read":
        return held === call.address || held === "?" ? call.address : undefined;
      case "release":
        return held === "" ? undefined : "";
      case "not-found":
      case "read-none":
        return held === "" ? "" : undefined;
    }
  },
  key: (held) => held,
};

/** An address is held by a name, or free. */
type AddressCall =
  | { readonly kind: "take" | "give" | "read"; readonly name: string }
  | { readonly kind: "read-free" };

const addressModel: RegisterModel<string, AddressCall> = {
  initial: "",
  step(holder, call) {
    switch (call.kind) {
      case "take":
        return holder === "" ? call.name : undefined;
      case "give":
        return holder === call.name ? "" : undefined;
      case "read":
        return holder === call.name ? holder : undefined;
      case "read-free":
        return holder === "" ? "" : undefined;
    }
  },
  key: (holder) => holder,
};

/**
 * What is wrong with a history, one phrase each; empty when nothing is. Two registers are checked, each by itself: what every name holds, and who holds every address. The end
 * counts as a read of all of them. No answer says which address a release gave back. Of a name that held one address it was that; of a name that held several it may have
 * been any of them, or another one's turn.
 */
export function checkAddresses(
  requests: readonly AddressRequest[],
  final: FinalAddresses,
): readonly string[] {
  const last = Math.max(0, ...requests.map(({ end }) => (end === Infinity ? 0 : end)));
  const readAt = { start: last + 1, end: last + 2 };
  return [...checkNames(requests, final, readAt), ...checkHolders(requests, final, readAt)];
}

interface ReadAt {
  readonly start: number;
  readonly end: number;
}

function checkNames(
  requests: readonly AddressRequest[],
  final: FinalAddresses,
  readAt: ReadAt,
): readonly string[] {
  const found = new Map(final.map(({ name, address }) => [name, address]));
  const doubled = final.filter(({ name, address }) => found.get(name) !== address);
  const byName = Map.groupBy(requests, ({ name }) => name);
  const problems = doubled.map(({ name }) => `"${name}" is listed with two addresses`);
  for (const [name, list] of byName) {
    const address = found.get(name);
    const history: Operation<NameCall>[] = list.flatMap((request) => nameOperation(request));
    history.push({
      ...readAt,
      call: address === undefined ? { kind: "read-none" } : { kind: "read", address },
    });
    const violation = findViolation(nameModel, history);
    if (violation !== undefined) {
      problems.push(`"${name}": no order of these explains the answers: ${JSON.stringify(violation)}`);
    }
  }
  return problems;
}

function nameOperation({ kind, start, end, answer }: AddressRequest): readonly Operation<NameCall>[] {
  switch (answer.kind) {
    case "allocated":
      return [{ start, end, call: { kind: "allocate", address: answer.address } }];
    case "exists":
      return [{ start, end, call: { kind: "exists", address: answer.address } }];
    case "released":
      return [{ start, end, call: { kind: "release" } }];
    case "not-found":
      return [{ start, end, call: { kind: "not-found" } }];
    case "refused":
      return [];
    case "unknown":
      return [{ start, end: Infinity, call: { kind: kind === "allocate" ? "allocate-any" : "release" } }];
  }
}

function checkHolders(
  requests: readonly AddressRequest[],
  final: FinalAddresses,
  readAt: ReadAt,
): readonly string[] {
  const told = new Map<string, Set<string>>();
  const tell = (name: string, address: string): void => {
    told.set(name, (told.get(name) ?? new Set()).add(address));
  };
  final.forEach(({ name, address }) => tell(name, address));
  for (const { name, answer } of requests) {
    if (answer.kind === "allocated" || answer.kind === "exists") {
      tell(name, answer.address);
    }
  }
  const histories = new Map<string, Operation<AddressCall>[]>();
  const add = (address: string, operation: Operation<AddressCall>): void => {
    histories.set(address, [...(histories.get(address) ?? []), operation]);
  };
  for (const { kind, name, start, end, answer } of requests) {
    const held = told.get(name) ?? new Set();
    if (answer.kind === "allocated") {
      add(answer.address, { start, end, call: { kind: "take", name } });
    } else if (answer.kind === "released") {
      const known = held.size === 1 ? end : Infinity;
      held.forEach((address) => add(address, { start, end: known, call: { kind: "give", name } }));
    } else if (answer.kind === "unknown") {
      const call = { kind: kind === "allocate" ? "take" : "give", name } as const;
      held.forEach((address) => add(address, { start, end: Infinity, call }));
    }
  }
  const holders = Map.groupBy(final, ({ address }) => address);
  const problems: string[] = [];
  for (const [address, list] of holders) {
    if (list.length > 1) {
      problems.push(`${address} is held by ${list.map(({ name }) => name).join(" and ")}`);
    }
  }
  for (const address of new Set([...histories.keys(), ...holders.keys()])) {
    const [holder] = holders.get(address) ?? [];
    const history = histories.get(address) ?? [];
    history.push({
      ...readAt,
      call: holder === undefined ? { kind: "read-free" } : { kind: "read", name: holder.name },
    });
    const violation = findViolation(addressModel, history);
    if (violation !== undefined) {
      problems.push(`${address}: no order of these explains the answers: ${JSON.stringify(violation)}`);
    }
  }
  return problems;
}
