import { z } from "zod";

import type { ClusterNode } from "../../core/cluster/objects.ts";
import { NetworkError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterEvent, ClusterWriter } from "../../ports/cluster.ts";
import { errorOfConnection, type AskedCall } from "./classify-error.ts";
import { formatMicroTime } from "./micro-time.ts";
import type { Transport } from "./transport.ts";

export interface KubernetesWriterOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Who says it, in events: the name of this machine or Pod. */
  readonly instance: string;
}

/** Events of objects without namespace are kept here. */
const DEFAULT_NAMESPACE = "default";
const MAX_NOTE_BYTES = 1024;
/** A name has up to 253 characters, and the server adds five to ours. */
const MAX_NAME = 240;
const UNPROCESSABLE = 422;

const Created = z.object({ metadata: z.object({ name: z.string().min(1), namespace: z.string() }) });

type Condition = Parameters<ClusterWriter["setCondition"]>[1];
type WrittenEvent = Parameters<ClusterWriter["repeatEvent"]>[0];

/** Writes taints, conditions and events. Each write goes out once. */
export class KubernetesWriter implements ClusterWriter {
  readonly #options: KubernetesWriterOptions;

  constructor(options: KubernetesWriterOptions) {
    this.#options = options;
  }

  async removeTaint(node: ClusterNode, key: string, signal: AbortSignal): Promise<void> {
    const places = node.taints.flatMap((taint, index) => (taint.key === key ? [index] : []));
    if (places.length === 0) {
      return;
    }
    // All taints are one list for the API server: whoever writes it writes all of it, so it must be the list that we know. From the end, so that the places stay right.
    const operations = places.toReversed().flatMap((place) => [
      { op: "test", path: `/spec/taints/${place}/key`, value: key },
      { op: "remove", path: `/spec/taints/${place}` },
    ]);
    const call = { verb: "patch", resource: "nodes" } as const;
    const written = this.#options.transport.json(
      {
        ...call,
        method: "PATCH",
        path: `/api/v1/nodes/${encodeURIComponent(node.name)}`,
        contentType: "application/json-patch+json",
        body: [
          { op: "test", path: "/metadata/resourceVersion", value: node.resourceVersion },
          { op: "test", path: "/metadata/uid", value: node.uid },
          ...operations,
        ],
      },
      signal,
    );
    await this.#unlessReplaced(written, node.name, call);
  }

  async setCondition(
    node: { readonly name: string; readonly uid: string },
    condition: Condition,
    signal: AbortSignal,
  ): Promise<void> {
    // `metav1.Time` has whole seconds.
    const now = `${new Date(this.#options.clock.now()).toISOString().slice(0, 19)}Z`;
    const call = { verb: "patch", resource: "nodes/status" } as const;
    const written = this.#options.transport.json(
      {
        ...call,
        method: "PATCH",
        path: `/api/v1/nodes/${encodeURIComponent(node.name)}/status`,
        // Merges conditions by their type; a JSON merge patch would replace the kubelet's.
        contentType: "application/strategic-merge-patch+json",
        body: {
          // Another Node of that name is another machine: a UID cannot be changed, so there the patch is refused.
          metadata: { uid: node.uid },
          status: { conditions: [{ ...condition, lastHeartbeatTime: now, lastTransitionTime: now }] },
        },
      },
      signal,
    );
    await this.#unlessReplaced(written, node.name, call);
  }

  /** Waits for a patch that names what must not have changed. */
  async #unlessReplaced(written: Promise<unknown>, host: string, call: AskedCall): Promise<void> {
    try {
      await written;
    } catch (error) {
      // What the API server says to a `test` that failed, and to another UID.
      if (error instanceof NetworkError && error.details["status"] === UNPROCESSABLE) {
        throw new NetworkError(
          "conflict",
          "CLUSTER_CONFLICT",
          `cannot ${call.verb} node ${host}: the node changed meanwhile; read it again`,
          { ...call, host },
          error,
        );
      }
      throw error;
    }
  }

  async createEvent(event: ClusterEvent, signal: AbortSignal): Promise<WrittenEvent> {
    const { subject, type, reason, action, note, firstMs } = event;
    const namespace = subject.namespace === "" ? DEFAULT_NAMESPACE : subject.namespace;
    const call = { verb: "create", resource: "events" } as const;
    const answer = await this.#options.transport.json(
      {
        ...call,
        method: "POST",
        path: eventsPath(namespace),
        body: {
          apiVersion: "events.k8s.io/v1",
          kind: "Event",
          metadata: { namespace, generateName: `${cutName(subject.name)}-` },
          eventTime: formatMicroTime(firstMs),
          reportingController: "romana.io/controller",
          reportingInstance: this.#options.instance.slice(0, 128),
          action: action.slice(0, 128),
          reason: reason.slice(0, 128),
          type,
          note: cutToBytes(note, MAX_NOTE_BYTES),
          regarding: {
            apiVersion: subject.apiVersion,
            kind: subject.kind,
            name: subject.name,
            uid: subject.uid,
            ...(subject.namespace === "" ? {} : { namespace }),
          },
        },
      },
      signal,
    );
    const { success, data } = Created.safeParse(answer);
    if (!success) {
      throw errorOfConnection(call, "the answer is no event");
    }
    return { namespace: data.metadata.namespace, name: data.metadata.name };
  }

  async repeatEvent(
    { namespace, name }: WrittenEvent,
    { count, lastMs }: { readonly count: number; readonly lastMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#options.transport.json(
      {
        verb: "patch",
        resource: "events",
        method: "PATCH",
        path: `${eventsPath(namespace)}/${encodeURIComponent(name)}`,
        contentType: "application/merge-patch+json",
        body: { series: { count, lastObservedTime: formatMicroTime(lastMs) } },
      },
      signal,
    );
  }
}

function eventsPath(namespace: string): string {
  return `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
}

/** The beginning of a name, such that `-` may follow. */
function cutName(name: string): string {
  return name.slice(0, MAX_NAME).replace(/[.-]+$/, "");
}

/** The longest beginning of a text that has up to so many bytes in UTF-8 and ends with a whole character. */
export function cutToBytes(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) {
    return text;
  }
  let end = most;
  // A byte 10xxxxxx is in the middle of a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) {
    end -= 1;
  }
  return bytes.subarray(0, end).toString("utf8");
}
