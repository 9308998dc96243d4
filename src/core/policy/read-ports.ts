import type { NetworkPolicyPort } from "../cluster/objects.ts";
import type { PolicyProblem, PortMatch, PortProtocol, Traffic } from "./model.ts";

const PROTOCOLS: ReadonlyMap<string, PortProtocol> = new Map([
  ["TCP", "tcp"],
  ["UDP", "udp"],
  ["SCTP", "sctp"],
]);

const MAX_PORT = 65_535;
/** What Kubernetes takes as the name of a container's port: at most 15 of a-z, 0-9 and single inner hyphens, one letter at least (RFC 6335). */
const PORT_NAME = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;

/** What follows from a port that cannot be expressed. */
const NOTHING = "until then it allows nothing";

/** Reads `ports` of a rule; none is all traffic. An element that cannot be expressed becomes a problem and is left out; the result may be empty then, which allows nothing. */
export function readTraffic(
  ports: readonly NetworkPolicyPort[],
  place: string,
  problems: PolicyProblem[],
): readonly Traffic[] {
  return ports.length === 0
    ? [{ protocol: "any" }]
    : ports.flatMap((port, index) => readPort(port, `${place}[${index}]`, problems) ?? []);
}

function readPort(port: NetworkPolicyPort, place: string, problems: PolicyProblem[]): Traffic | undefined {
  const protocol = PROTOCOLS.get(port.protocol);
  if (protocol === undefined) {
    problems.push({
      place: `${place}.protocol`,
      message: `protocol ${JSON.stringify(port.protocol)} is not known: write TCP, UDP or SCTP; ${NOTHING}`,
    });
    return undefined;
  }
  const match = readMatch(port);
  if ("wrong" in match) {
    problems.push({ place: `${place}.${match.wrong}`, message: `${match.message}; ${NOTHING}` });
    return undefined;
  }
  return { protocol, ports: match.ports };
}

type Match =
  | { readonly ports: "all" | readonly PortMatch[] }
  | { readonly wrong: "port" | "endPort"; readonly message: string };

/**
 *     port     endPort             ports
 *     absent   absent              all
 *     number   absent              that number
 *     number   number, not lower   the range
 *     name     absent              the name
 *     else                         a problem
 */
function readMatch({ port, endPort }: NetworkPolicyPort): Match {
  if (port === undefined) {
    return endPort === undefined
      ? { ports: "all" }
      : { wrong: "endPort", message: 'endPort needs a "port" where the range begins' };
  }
  if (typeof port === "string") {
    if (endPort !== undefined) {
      return {
        wrong: "endPort",
        message: `endPort cannot stand beside the name ${JSON.stringify(port)}: begin the range with a number`,
      };
    }
    return PORT_NAME.test(port)
      ? { ports: [port] }
      : {
          wrong: "port",
          message: `${JSON.stringify(port)} is no name of a port: write a number without quotes, or the name of a container's port`,
        };
  }
  if (!isPort(port)) {
    return { wrong: "port", message: `${port} is no port: write a number from 1 to ${MAX_PORT}` };
  }
  if (endPort === undefined) {
    return { ports: [port] };
  }
  if (!isPort(endPort) || endPort < port) {
    return {
      wrong: "endPort",
      message: `${port} to ${endPort} is no range: write an endPort from ${port} to ${MAX_PORT}`,
    };
  }
  return { ports: [[port, endPort]] };
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= MAX_PORT;
}
