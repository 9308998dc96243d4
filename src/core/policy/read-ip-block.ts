import type { NetworkPolicyPeer } from "../cluster/objects.ts";
import { NetworkError } from "../errors.ts";
import { containsCidr, networkOf, type Cidr } from "../net/cidr.ts";
import type { CidrPeer, PolicyProblem } from "./model.ts";

/** What follows from a block that cannot be expressed. */
const NOTHING = "until then this peer allows nothing";

/** Reads an ipBlock. Host bits are cleared, as packet filters read them. `undefined`, with problems, when any part of it cannot be expressed: without one of its exceptions it would allow too much. */
export function readIpBlock(
  { cidr: text, except }: NonNullable<NetworkPolicyPeer["ipBlock"]>,
  place: string,
  problems: PolicyProblem[],
): CidrPeer | undefined {
  const before = problems.length;
  const cidr = readCidr(text, `${place}.cidr`, problems);
  const exceptions = except.flatMap((item, index) => {
    const at = `${place}.except[${index}]`;
    const read = readCidr(item, at, problems);
    if (read !== undefined && cidr !== undefined && !(containsCidr(cidr, read) && read !== cidr)) {
      problems.push({
        place: at,
        message: `${read} is not a part of ${cidr}: name a smaller block inside of it, or leave it out; ${NOTHING}`,
      });
    }
    return read ?? [];
  });
  return cidr === undefined || problems.length > before
    ? undefined
    : { kind: "cidr", cidr, except: exceptions };
}

function readCidr(text: string, place: string, problems: PolicyProblem[]): Cidr | undefined {
  if (text.includes(":")) {
    problems.push({
      place,
      message: `${JSON.stringify(text)} is IPv6, and this network has IPv4 alone: write an IPv4 block, or leave it out; ${NOTHING}`,
    });
    return undefined;
  }
  try {
    return networkOf(text);
  } catch (error) {
    if (!(error instanceof NetworkError)) {
      throw error;
    }
    problems.push({ place, message: `${error.message}; ${NOTHING}` });
    return undefined;
  }
}
