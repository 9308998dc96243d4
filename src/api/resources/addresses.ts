import type { FastifyPluginCallbackZod } from "fastify-type-provider-zod";

import { NetworkError } from "../../core/errors.ts";
import { ipv4Value, parseIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing } from "../control-plane.ts";
import { addressBody, addressQuery } from "../schemas.ts";

/** `/address` of the original, and the list that it did not have. */
export const addressesResource: FastifyPluginCallbackZod<{ addressing: Addressing }> = (
  app,
  { addressing },
  done,
) => {
  app.post(
    "/address",
    {
      schema: { body: addressBody },
      config: {
        original: true,
        resourceType: "address",
        access: "agent",
        // Without a name of a host the request is refused as it always was.
        concernsHost: ({ body }) => hostIn(body),
      },
    },
    async (request, reply) => {
      const { name, host, tenant, segment, address } = request.body;
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
        tenant: tenant ?? "",
        segment: segment ?? "",
        ...(address ? { address: parseIpv4(address) } : {}),
      };
      return answer(reply, await addressing.allocate(wanted, request.deadline));
    },
  );

  app.delete(
    "/address",
    {
      schema: { querystring: addressQuery },
      config: {
        original: true,
        resourceType: "address",
        access: "agent",
        concernsHost: ({ query }) => addressing.holderOf(nameIn(query)),
      },
    },
    (request, reply) => {
      const { addressName } = request.query;
      if (addressName === "") {
        throw new NetworkError(
          "not-found",
          "ADDRESS_NOT_FOUND",
          "no address was named: give ?addressName= with a name or an IP address",
        );
      }
      return answerNull(reply, addressing.release(addressName, request.deadline));
    },
  );

  app.get("/addresses", (_request, reply) =>
    answer(
      reply,
      byAddress(addressing.addresses()).map(({ name, address, host, tenant, segment, network }) => ({
        name,
        address,
        host,
        tenant,
        segment,
        network,
      })),
    ),
  );

  done();
};

/** The host that a body names, if it does. */
function hostIn(body: unknown): string | undefined {
  return (body as { readonly host?: string | null }).host || undefined;
}

function nameIn(query: unknown): string {
  return (query as { readonly addressName: string }).addressName;
}

/** In the order of the addresses, so that a restart does not change the answer. */
function byAddress<T extends { readonly address: Ipv4 }>(list: readonly T[]): readonly T[] {
  return list
    .map((item) => ({ item, value: ipv4Value(item.address) }))
    .toSorted((a, b) => a.value - b.value)
    .map(({ item }) => item);
}
