import type { Caller } from "../../core/access/access.ts";
import { NetworkError } from "../../core/errors.ts";
import { readPodReference, type PodFields, type PodReference } from "../../core/ipam/pod-reference.ts";
import { ipv4Value, parseIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing, AddressState, NewAddress, PodOwners } from "../control-plane.ts";
import type { Resource } from "../resource.ts";
import { addressBody, addressQuery, Done } from "../schemas.ts";
import { AddressList, GivenAddress } from "./addresses.schemas.ts";

const tags = ["addresses"];

/** Of a Pod without the label, as the original had it. */
const DEFAULT_SEGMENT = "default";

/** `/address` of the original, and the list that it did not have. */
export const addressesResource: Resource<{ addressing: Addressing; pods?: PodOwners | undefined }> = (
  app,
  { addressing, pods },
  done,
) => {
  app.post(
    "/address",
    {
      schema: { summary: "Take an address", tags, body: addressBody, response: { 200: GivenAddress } },
      config: {
        original: true,
        resourceType: "address",
        form: true,
        access: "agent",
        // Without a name of a host the request is refused as it always was.
        concernsHost: ({ body }) => hostIn(body),
        failures: [404, 409],
      },
    },
    async (request, reply) => {
      const { name, host, address } = request.body;
      if (!name) {
        throw new NetworkError(
          "invalid",
          "ADDRESS_NAME_MISSING",
          'an address was asked for without a name: give "name", such as pod.namespace',
        );
      }
      if (!host) {
        throw new NetworkError(
          "invalid",
          "ADDRESS_HOST_MISSING",
          `an address was asked for "${name}" without a host: give "host", the name of the node it is for`,
        );
      }
      const wanted = {
        name,
        host,
        ...ownerOf(request.body, pods),
        ...(address ? { address: parseIpv4(address) } : {}),
      };
      requireOwnPod(request.caller, wanted.pod, pods);
      return answer(reply, await addressing.allocate(wanted, request.deadline));
    },
  );

  app.delete(
    "/address",
    {
      schema: { summary: "Release an address", tags, querystring: addressQuery, response: { 200: Done } },
      config: {
        original: true,
        resourceType: "address",
        access: "agent",
        // Whose address it is, is decided with its release: what somebody saw before that may be old.
        concernsHost: () => undefined,
        failures: [404, 409],
      },
    },
    (request, reply) => {
      const { addressName, podUID: podUid } = request.query;
      if (addressName === "") {
        throw new NetworkError(
          "not-found",
          "ADDRESS_NOT_FOUND",
          "no address was named: give ?addressName= with a name or an IP address",
        );
      }
      const { role, host } = request.caller;
      const only = { ...(role === "agent" ? { host } : {}), ...(podUid === undefined ? {} : { podUid }) };
      return answerNull(reply, addressing.release(addressName, request.deadline, only));
    },
  );

  const list = { schema: { summary: "The addresses in use", tags, response: { 200: AddressList } } };
  app.get("/addresses", list, (_request, reply) =>
    answer(reply, byAddress(addressing.addresses()).map(shownAddress)),
  );

  done();
};

/** The host that a body names, if it does. */
function hostIn(body: unknown): string | undefined {
  return (body as { readonly host?: string | null }).host || undefined;
}

/** Whoever has the credentials of one node could else have its packets taken for those of any Pod: an address has the labels of the Pod that it names. */
function requireOwnPod(
  { role, host }: Caller,
  pod: PodReference | undefined,
  pods: PodOwners | undefined,
): void {
  const node = pod === undefined ? undefined : pods?.nodeOf(pod);
  if (role === "agent" && pod !== undefined && node !== undefined && node !== host) {
    throw new NetworkError(
      "conflict",
      "POD_ELSEWHERE",
      `the agent of host ${host} asks for an address of Pod ${pod.namespace}/${pod.name} (${pod.uid}), which is on node ${node}: ask on that node, or use the credentials of an admin`,
      { host, node, namespace: pod.namespace, pod: pod.name, podUID: pod.uid },
    );
  }
}

/**
 * Whose address it will be. What is said counts; where a Pod is given, its namespace stands for a tenant that is not said, and its label for a segment that is not said: `default` without
 * the label, and while the Pod is not known here.
 */
function ownerOf(
  {
    tenant,
    segment,
    ...fields
  }: PodFields & { readonly tenant?: string | undefined; readonly segment?: string | undefined },
  pods: PodOwners | undefined,
): Pick<NewAddress, "tenant" | "segment" | "pod"> {
  const pod = readPodReference(fields);
  if (pod === undefined) {
    return { tenant: tenant ?? "", segment: segment ?? "" };
  }
  return {
    tenant: tenant || pod.namespace,
    segment: segment || (pods?.segmentOf(pod) ?? DEFAULT_SEGMENT),
    pod,
  };
}

/** The fields in their order. */
export function shownAddress({
  name,
  address,
  host,
  tenant,
  segment,
  network,
  pod,
}: AddressState): AddressState {
  const shown = { name, address, host, tenant, segment, network };
  return pod === undefined
    ? shown
    : { ...shown, pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid } };
}

/** In the order of the addresses, so that a restart does not change the answer. */
function byAddress<T extends { readonly address: Ipv4 }>(list: readonly T[]): readonly T[] {
  return list
    .map((item) => ({ item, value: ipv4Value(item.address) }))
    .toSorted((a, b) => a.value - b.value)
    .map(({ item }) => item);
}
