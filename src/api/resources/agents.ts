import { NetworkError } from "../../core/errors.ts";
import { parseIpv4, type Ipv4 } from "../../core/net/ipv4.ts";
import { answer, answerNull } from "../answers.ts";
import type { Addressing } from "../control-plane.ts";
import type { Resource } from "../resource.ts";
import { agentBody, Done, hostParams } from "../schemas.ts";
import { AgentStatus } from "./agents.schemas.ts";

/** Where the reports of agents are kept. */
export interface AgentDesk {
  of(host: string): { readonly ready: boolean; readonly endpoints: ReadonlyMap<Ipv4, string> } | undefined;
  put(host: string, report: { readonly ready: boolean; readonly endpoints: ReadonlyMap<Ipv4, string> }): void;
  /** Milliseconds since the last report of this host's agent, `Infinity` for none. */
  ageMs(host: string): number;
  /** Whether an agent that said nothing for so long counts as silent. */
  isSilent(host: string): boolean;
}

const tags = ["agents"];

/** `/hosts/{name}/agent`: what the agent of a host says of itself. The leader alone keeps it, in memory. */
export const agentsResource: Resource<{
  addressing: Pick<Addressing, "host">;
  agents: AgentDesk;
}> = (app, { addressing, agents }, done) => {
  app.put(
    "/hosts/:name/agent",
    {
      schema: {
        summary: "Say that the agent of a host lives, whether it is ready, and which interfaces it serves",
        tags,
        params: hostParams,
        body: agentBody,
        response: { 200: Done },
      },
      config: {
        resourceType: "host",
        access: "agent",
        leader: true,
        concernsHost: ({ params }) => (params as { readonly name: string }).name,
      },
    },
    (request, reply) => {
      const { name } = request.params;
      requireHost(addressing, name);
      const { ready, endpoints } = request.body;
      agents.put(name, {
        ready,
        endpoints: new Map(endpoints.map(({ address, podUID }) => [parseIpv4(address), podUID])),
      });
      return answerNull(reply, Promise.resolve());
    },
  );

  app.get(
    "/hosts/:name/agent",
    {
      schema: {
        summary: "What the agent of a host said last",
        tags,
        params: hostParams,
        response: { 200: AgentStatus },
      },
      config: { resourceType: "host", leader: true },
    },
    (request, reply) => {
      const { name } = request.params;
      requireHost(addressing, name);
      const report = agents.of(name);
      if (report === undefined) {
        throw new NetworkError(
          "not-found",
          "AGENT_UNHEARD",
          `the agent of host ${name} has said nothing since this replica leads: agents report every 30 s; see whether it runs there`,
          { host: name },
        );
      }
      return answer(reply, {
        host: name,
        ready: report.ready,
        endpoints: [...report.endpoints].map(([address, podUID]) => ({ address, podUID })),
        age_seconds: Math.floor(agents.ageMs(name) / 1000),
        silent: agents.isSilent(name),
      });
    },
  );

  done();
};

function requireHost(addressing: Pick<Addressing, "host">, name: string): void {
  if (addressing.host(name) === undefined) {
    throw new NetworkError(
      "not-found",
      "HOST_NOT_FOUND",
      `no host is called "${name}": GET /hosts lists those that are known`,
      { host: name },
    );
  }
}
