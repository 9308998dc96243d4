import type { FastifyPluginCallbackZod } from "fastify-type-provider-zod";

import { NetworkError } from "../../core/errors.ts";
import { parseIpv4 } from "../../core/net/ipv4.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing, HostState } from "../control-plane.ts";
import { hostBody, hostsQuery, labelsBody, nameParams } from "../schemas.ts";

/** `/hosts`. */
export const hostsResource: FastifyPluginCallbackZod<{ addressing: Addressing }> = (
  app,
  { addressing },
  done,
) => {
  app.get("/hosts", { schema: { querystring: hostsQuery }, config: { original: true } }, (request, reply) => {
    const render = request.query.full === "true" ? fullHost : originalHost;
    const { hosts, revision } = addressing.hosts();
    return answer(reply, { hosts: hosts.map(render), revision });
  });

  app.post(
    "/hosts",
    { schema: { body: hostBody }, config: { original: true, resourceType: "host" } },
    (request, reply) => {
      const { name, ip, agent_port: agentPort, tags } = request.body;
      if (!name || !ip) {
        throw new NetworkError(
          "invalid",
          "HOST_INVALID",
          'a host needs a name and an address: give "name" and "ip"',
        );
      }
      const host = {
        name,
        ip: parseIpv4(ip),
        tags: tags ?? {},
        origin: "api",
        ...(agentPort ? { agentPort } : {}),
      } as const;
      return answerNull(reply, addressing.addHost(host, request.deadline));
    },
  );

  app.get(
    "/hosts/:name",
    { schema: { params: nameParams }, config: { resourceType: "host" } },
    (request, reply) => {
      const { name } = request.params;
      const host = addressing.hosts().hosts.find((candidate) => candidate.name === name);
      if (host === undefined) {
        throw new NetworkError(
          "not-found",
          "HOST_NOT_FOUND",
          `no host is called "${name}": GET /hosts lists those that are known`,
          { host: name },
        );
      }
      return answer(reply, fullHost(host));
    },
  );

  app.delete(
    "/hosts/:name",
    { schema: { params: nameParams }, config: { resourceType: "host" } },
    (request, reply) => answerNull(reply, addressing.removeHost(request.params.name, request.deadline)),
  );

  app.put(
    "/hosts/:name/labels",
    { schema: { params: nameParams, body: labelsBody }, config: { resourceType: "host" } },
    (request, reply) =>
      answerNull(reply, addressing.setLabels(request.params.name, request.body.labels, request.deadline)),
  );

  done();
};

/** The original's fields and order, with the tags that it left out, and whether the host has a place. */
function originalHost(host: HostState) {
  return {
    ip: host.ip,
    name: host.name,
    agent_port: host.agentPort,
    tags: Object.keys(host.tags).length === 0 ? null : host.tags,
    k8s_info: null,
    placed: host.placed,
  };
}

function fullHost(host: HostState) {
  return {
    ...originalHost(host),
    misplaced: host.misplaced,
    reason: host.reason,
    origin: host.origin,
    groups: host.groups.map(({ network, cidr }) => ({ network, cidr })),
  };
}
