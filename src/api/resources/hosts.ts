import { NetworkError } from "../../core/errors.ts";
import { parseIpv4 } from "../../core/net/ipv4.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing, HostState } from "../control-plane.ts";
import type { Resource } from "../resource.ts";
import { Done, hostBody, hostsQuery, labelsBody, hostParams } from "../schemas.ts";
import { FullHost, HostList } from "./hosts.schemas.ts";
import { BlockList } from "./networks.schemas.ts";
import { originalBlock } from "./original-block.ts";

const noun = ["hosts"];

/** `/hosts`. */
export const hostsResource: Resource<{ addressing: Addressing }> = (app, { addressing }, done) => {
  const list = {
    schema: { summary: "All hosts", tags: noun, querystring: hostsQuery, response: { 200: HostList } },
    config: { original: true },
  } as const;
  app.get("/hosts", list, (request, reply) => {
    const render = request.query.full === "true" ? fullHost : originalHost;
    const { hosts, revision } = addressing.hosts();
    return answer(reply, { hosts: hosts.map(render), revision });
  });

  app.post(
    "/hosts",
    {
      schema: { summary: "Register a host", tags: noun, body: hostBody, response: { 200: Done } },
      config: { original: true, resourceType: "host", form: true, failures: [409] },
    },
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
    {
      schema: { summary: "One host", tags: noun, params: hostParams, response: { 200: FullHost } },
      config: { resourceType: "host" },
    },
    (request, reply) => {
      return answer(reply, fullHost(hostNamed(addressing, request.params.name)));
    },
  );

  app.delete(
    "/hosts/:name",
    {
      schema: {
        summary: "Remove a host and all that it holds",
        tags: noun,
        params: hostParams,
        response: { 200: Done },
      },
      config: { resourceType: "host" },
    },
    (request, reply) => answerNull(reply, addressing.removeHost(request.params.name, request.deadline)),
  );

  app.put(
    "/hosts/:name/labels",
    {
      schema: {
        summary: "Set all labels of a host",
        tags: noun,
        params: hostParams,
        body: labelsBody,
        response: { 200: Done },
      },
      config: { resourceType: "host" },
    },
    (request, reply) =>
      answerNull(reply, addressing.setLabels(request.params.name, request.body.labels, request.deadline)),
  );

  app.get(
    "/hosts/:name/blocks",
    {
      schema: {
        summary: "The blocks of one host",
        tags: noun,
        params: hostParams,
        response: { 200: BlockList },
      },
      config: { resourceType: "host" },
    },
    (request, reply) => {
      const { name } = hostNamed(addressing, request.params.name);
      const { revision, blocks } = addressing.blocks() ?? { revision: 0, blocks: [] };
      const own = blocks.filter(({ host }) => host === name);
      return answer(reply, { revision, blocks: own.map(originalBlock) });
    },
  );

  done();
};

function hostNamed(addressing: Addressing, name: string): HostState {
  const host = addressing.hosts().hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    throw new NetworkError(
      "not-found",
      "HOST_NOT_FOUND",
      `no host is called "${name}": GET /hosts lists those that are known`,
      { host: name },
    );
  }
  return host;
}

/** The original's fields and order, with the tags that it left out, and whether the host has a place. */
function originalHost(host: HostState) {
  return {
    ip: host.ip,
    name: host.name,
    agent_port: host.agentPort,
    tags: Object.keys(host.tags).length === 0 ? null : host.tags,
    k8s_info: host.node === undefined ? null : { uid: host.node.uid, instance_id: host.node.instanceId },
    placed: host.placed,
  };
}

/** With all that is known of it. */
export function fullHost(host: HostState) {
  return {
    ...originalHost(host),
    misplaced: host.misplaced,
    reason: host.reason,
    origin: host.origin,
    groups: host.groups.map(({ network, cidr }) => ({ network, cidr })),
  };
}
