import type { IpamCheck, LeakRelease } from "../../core/views/ipam-views.ts";
import { answer } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { CheckedIpam, leakBody, leakQuery, ReleasedLeaks } from "./ipam.schemas.ts";

/** What the API asks of the part that compares addresses with Pods and interfaces. */
export interface AddressAudit {
  check(signal: AbortSignal): Promise<IpamCheck>;
  releaseLeaked(
    options: { readonly graceMs?: number | undefined; readonly dryRun: boolean },
    signal: AbortSignal,
  ): Promise<LeakRelease>;
}

const tags = ["addresses"];

/** `/ipam`: what does not fit together, and what leaked. The leader alone hears of interfaces. */
export const ipamResource: Resource<{ audit: AddressAudit }> = (app, { audit }, done) => {
  app.get(
    "/ipam/check",
    {
      schema: {
        summary: "Addresses that do not fit Pods and interfaces",
        tags,
        response: { 200: CheckedIpam },
      },
      config: { leader: true, slow: true, failures: [409] },
    },
    async (request, reply) => answer(reply, await audit.check(request.deadline)),
  );

  app.post(
    "/ipam/leaks/release",
    {
      schema: {
        summary: "Release leaked addresses",
        tags,
        body: leakBody,
        querystring: leakQuery,
        response: { 200: ReleasedLeaks },
      },
      config: { leader: true, slow: true, access: "admin", failures: [409] },
    },
    async (request, reply) => {
      const graceMs = request.body?.grace ?? undefined;
      const options = { graceMs, dryRun: request.query.dry_run === "true" };
      return answer(reply, await audit.releaseLeaked(options, request.deadline));
    },
  );

  done();
};
