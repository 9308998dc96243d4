import type { CloudFacts, CloudInstance } from "../core/cloud/facts.ts";
import type { Cidr } from "../core/net/cidr.ts";

/** One call that changes a route table. `target` is the id of a network interface. */
export type RouteWrite =
  | {
      readonly kind: "create";
      readonly routeTableId: string;
      readonly destination: Cidr;
      readonly target: string;
    }
  | {
      readonly kind: "replace";
      readonly routeTableId: string;
      readonly destination: Cidr;
      readonly target: string;
    }
  | { readonly kind: "delete"; readonly routeTableId: string; readonly destination: Cidr };

/** Names of the EC2 actions that change something; each has a token bucket of its own (EC2 API throttling). */
export type CloudAction = "CreateRoute" | "ReplaceRoute" | "DeleteRoute" | "ModifyNetworkInterfaceAttribute";

/**
 * Awaited before every attempt of a call, repeats included: takes the token, checks that we still lead. Resolves with the milliseconds that the attempt may take at
 * most, above 0 (`Infinity`: as long as the adapter lets it). Rejects when the call must not be made any more; the call then ends with that error.
 */
export type Admit = (action: CloudAction) => Promise<number>;

/**
 * The VPC. Implementations: `adapters/aws`, `adapters/simulation`. Errors are `NetworkError`s:
 *
 *     code                    kind        when
 *     ----------------------  ----------  ---------------------------------------------------------
 *     ROUTE_EXISTS            conflict    create, and the table has a route on that destination
 *     ROUTE_NOT_FOUND         not-found   replace or delete of a route that is not there
 *     ROUTE_TABLE_NOT_FOUND   not-found   the table vanished
 *     INTERFACE_NOT_FOUND     not-found   the interface vanished (target, or source/dest check)
 *     ROUTE_LIMIT_EXCEEDED    exhausted   the table is full
 *     ROUTE_REFUSED           invalid     EC2 refuses this route for good (inside the VPC's CIDR, several interfaces …)
 *     VPC_NOT_FOUND           not-found   describe, and there is no such VPC in this region
 *     CLOUD_CONFLICT          conflict    something else changes the object now, or something depends on it
 *     CLOUD_UNAUTHORIZED      invalid     IAM says no; the message names action and resource
 *     CLOUD_UNAUTHENTICATED   invalid     no credentials, or they are expired or wrong
 *     CLOUD_REFUSED           invalid     EC2 refuses the call for another reason; its own code is in the message
 *     CLOUD_THROTTLED         transient   RequestLimitExceeded after the adapter's own repeats
 *     CLOUD_UNAVAILABLE       transient   network errors, time-outs, 5xx after the adapter's own repeats
 *     CLOUD_UNREADABLE        transient   describe, and the answer is incomplete or not to be understood: nothing may be planned on it
 *
 * A failed write carries `details.outcomeUnknown`: true when one of its attempts may have taken effect all the same (its answer was lost).
 * It is set on ROUTE_EXISTS and ROUTE_NOT_FOUND too: then the state found may be this very write's doing. Read the table again.
 */
export interface Cloud {
  /** Reads everything that a pass needs, in at most three paged Describe calls when nothing new turned up. */
  describe(signal: AbortSignal): Promise<CloudFacts>;
  /**
   * One instance, whatever its tags: one DescribeInstances, filtered for its id (a list of ids fails whole when one of them is unknown). `undefined` when EC2 knows none of that
   * id. Of a terminated one EC2 may have forgotten the interfaces.
   */
  describeInstance(instanceId: string, signal: AbortSignal): Promise<CloudInstance | undefined>;
  /** Performs one write. A create that finds the very route it wanted, and a delete that finds nothing, may be answered by an error above. */
  writeRoute(write: RouteWrite, admit: Admit, signal: AbortSignal): Promise<void>;
  /** Sets SourceDestCheck=false on one interface (ModifyNetworkInterfaceAttribute). Repeating it succeeds. */
  disableSourceDestCheck(interfaceId: string, admit: Admit, signal: AbortSignal): Promise<void>;
  /** Calls made so far, by EC2 action name; pages beyond the first are counted under `<Action>:page`. */
  calls(): Readonly<Record<string, number>>;
}

/** Knows the zones of the region. Implementations: those of `Cloud`, with the same errors. */
export interface ZoneSource {
  /** Names of the availability zones that nodes may stand in, sorted, one or more; local and Wavelength zones are not among them. */
  availabilityZones(signal: AbortSignal): Promise<readonly string[]>;
}
