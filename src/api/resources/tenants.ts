import { z } from "zod";

import type { SegmentView, TenantView } from "../../services/tenant-service.ts";
import { answer, answerNull } from "../answers.ts";
import type { Resource } from "../resource.ts";
import { Done } from "../schemas.ts";
import { nameBody, SegmentList, SegmentObject, TenantList, TenantObject } from "./tenants.schemas.ts";

/** What the API asks of the part that keeps tenants. Failures are `NetworkError`s. */
export interface Tenants {
  tenants(): readonly TenantView[];
  tenant(name: string): TenantView;
  segments(tenant: string): readonly SegmentView[];
  segment(tenant: string, name: string): SegmentView;
  createTenant(name: string, signal: AbortSignal): Promise<void>;
  deleteTenant(name: string, signal: AbortSignal): Promise<void>;
  createSegment(tenant: string, name: string, signal: AbortSignal): Promise<void>;
  deleteSegment(tenant: string, name: string, signal: AbortSignal): Promise<void>;
}

const tags = ["tenants"];
const tenantParams = z.object({
  name: z.string().meta({ description: "Name of the tenant", examples: ["shop"] }),
});
const segmentParams = tenantParams.extend({
  segment: z.string().meta({ description: "Name of the segment", examples: ["web"] }),
});

/** `/tenants` and their segments. */
export const tenantsResource: Resource<{ tenants: Tenants }> = (app, { tenants }, done) => {
  const tenant = { resourceType: "tenant" } as const;
  const segment = { resourceType: "segment" } as const;

  app.get(
    "/tenants",
    { schema: { summary: "All tenants", tags, response: { 200: TenantList } } },
    (_request, reply) => answer(reply, tenants.tenants()),
  );

  app.post(
    "/tenants",
    {
      schema: { summary: "Declare a tenant", tags, body: nameBody, response: { 200: Done } },
      config: { ...tenant, failures: [409] },
    },
    (request, reply) => answerNull(reply, tenants.createTenant(request.body.name, request.deadline)),
  );

  app.get(
    "/tenants/:name",
    {
      schema: { summary: "One tenant", tags, params: tenantParams, response: { 200: TenantObject } },
      config: tenant,
    },
    (request, reply) => answer(reply, tenants.tenant(request.params.name)),
  );

  app.delete(
    "/tenants/:name",
    {
      schema: { summary: "Take back a tenant", tags, params: tenantParams, response: { 200: Done } },
      config: { ...tenant, failures: [409] },
    },
    (request, reply) => answerNull(reply, tenants.deleteTenant(request.params.name, request.deadline)),
  );

  app.get(
    "/tenants/:name/segments",
    {
      schema: {
        summary: "The segments of a tenant",
        tags,
        params: tenantParams,
        response: { 200: SegmentList },
      },
      config: tenant,
    },
    (request, reply) => answer(reply, tenants.segments(request.params.name)),
  );

  app.post(
    "/tenants/:name/segments",
    {
      schema: {
        summary: "Declare a segment",
        tags,
        params: tenantParams,
        body: nameBody,
        response: { 200: Done },
      },
      config: { ...segment, failures: [409] },
    },
    (request, reply) =>
      answerNull(reply, tenants.createSegment(request.params.name, request.body.name, request.deadline)),
  );

  app.get(
    "/tenants/:name/segments/:segment",
    {
      schema: { summary: "One segment", tags, params: segmentParams, response: { 200: SegmentObject } },
      config: segment,
    },
    (request, reply) => answer(reply, tenants.segment(request.params.name, request.params.segment)),
  );

  app.delete(
    "/tenants/:name/segments/:segment",
    {
      schema: { summary: "Take back a segment", tags, params: segmentParams, response: { 200: Done } },
      config: { ...segment, failures: [409] },
    },
    (request, reply) =>
      answerNull(reply, tenants.deleteSegment(request.params.name, request.params.segment, request.deadline)),
  );

  done();
};
