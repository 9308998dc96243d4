import { z } from "zod";

import type {
  ActualRoute,
  CloudInstance,
  CloudInterface,
  CloudRouteTable,
  CloudSubnet,
  RouteTarget,
} from "../../core/cloud/facts.ts";
import { networkOf, type Cidr } from "../../core/net/cidr.ts";
import { readIpv4, type Ipv4 } from "../../core/net/ipv4.ts";

// What the SDK hands out, of which only the fields that are used here are looked at.

const id = z.string().min(1);

const ipv4 = z.string().transform((text, context): Ipv4 => {
  if (readIpv4(text) === undefined) {
    context.addIssue({ code: "custom", message: `not an IPv4 address: "${text}"` });
    return z.NEVER;
  }
  return text as Ipv4;
});

const cidr = z.string().transform((text, context): Cidr => {
  try {
    // Host bits: AWS stores routes without them; moto keeps them as they were given.
    return networkOf(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    return z.NEVER;
  }
});

const tags = z
  .array(z.object({ Key: z.string(), Value: z.string().default("") }))
  .default([])
  .transform((list) => Object.fromEntries(list.map(({ Key, Value }) => [Key, Value])));

const Ec2Interface = z.object({
  NetworkInterfaceId: id,
  SubnetId: id,
  VpcId: id,
  SourceDestCheck: z.boolean(),
  PrivateIpAddresses: z
    .array(z.object({ PrivateIpAddress: ipv4, Primary: z.boolean().default(false) }))
    .default([]),
  Attachment: z.object({
    DeviceIndex: z.number(),
    NetworkCardIndex: z.number().default(0),
    Status: z.string().default("attached"),
  }),
});

/** An item of DescribeInstances; of a terminated instance AWS gives no interfaces. */
const Ec2Instance = z.object({
  InstanceId: id,
  State: z.object({
    Name: z.enum(["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]),
  }),
  Placement: z.object({ AvailabilityZone: id }),
  Tags: tags,
  NetworkInterfaces: z.array(Ec2Interface).default([]),
});

/** To name what could not be read. */
const WithInstanceId = z.object({ InstanceId: id });
const WithRouteTableId = z.object({ RouteTableId: id });

const Ec2Subnet = z.object({ SubnetId: id, AvailabilityZone: id, CidrBlock: cidr });

const Ec2Zone = z.object({
  ZoneName: id,
  ZoneType: z.string().default("availability-zone"),
  State: z.string().default("available"),
});

const CidrAssociation = z.object({
  CidrBlock: cidr,
  CidrBlockState: z.object({ State: z.string() }).optional(),
});

const Ec2Vpc = z.object({
  VpcId: id,
  CidrBlock: cidr,
  CidrBlockAssociationSet: z.array(CidrAssociation).default([]),
});

const Ec2Route = z
  .object({
    DestinationCidrBlock: cidr.optional(),
    DestinationIpv6CidrBlock: z.string().optional(),
    DestinationPrefixListId: z.string().optional(),
    State: z.string(),
    Origin: z.string().optional(),
    NetworkInterfaceId: z.string().optional(),
    GatewayId: z.string().optional(),
    InstanceId: z.string().optional(),
    NatGatewayId: z.string().optional(),
    TransitGatewayId: z.string().optional(),
    VpcPeeringConnectionId: z.string().optional(),
    EgressOnlyInternetGatewayId: z.string().optional(),
    LocalGatewayId: z.string().optional(),
    CarrierGatewayId: z.string().optional(),
    CoreNetworkArn: z.string().optional(),
    OdbNetworkArn: z.string().optional(),
  })
  .refine(
    (route) =>
      route.DestinationCidrBlock !== undefined ||
      route.DestinationIpv6CidrBlock !== undefined ||
      route.DestinationPrefixListId !== undefined,
    "a route without a destination that is known here",
  );
type Ec2Route = z.output<typeof Ec2Route>;

const Ec2RouteTable = z.object({
  RouteTableId: id,
  Associations: z
    .array(
      z.object({
        Main: z.boolean().default(false),
        SubnetId: z.string().optional(),
        AssociationState: z.object({ State: z.string() }).optional(),
      }),
    )
    .default([]),
  Tags: tags,
  Routes: z.array(Ec2Route),
});

/** What a part of an answer was read as. An object that cannot be read says why in one line, and which it is if that much can be told. */
export type Reading<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly id: string | undefined; readonly problem: string };

/**
 * Reads an item of DescribeInstances. Interfaces of other VPCs (an instance may have one) and detached ones are left out; the primary one
 * comes first, then by network card and device index.
 */
export function readInstance(item: unknown, vpcId: string): Reading<CloudInstance> {
  const parsed = Ec2Instance.safeParse(item);
  if (!parsed.success) {
    return {
      ok: false,
      id: WithInstanceId.safeParse(item).data?.InstanceId,
      problem: problemOf(parsed.error),
    };
  }
  const { InstanceId, State, Placement, Tags, NetworkInterfaces } = parsed.data;
  const interfaces = NetworkInterfaces.filter(
    ({ VpcId, Attachment }) => VpcId === vpcId && Attachment.Status !== "detached",
  )
    .toSorted(
      ({ Attachment: a }, { Attachment: b }) =>
        a.NetworkCardIndex - b.NetworkCardIndex || a.DeviceIndex - b.DeviceIndex,
    )
    .map((attached): CloudInterface => ({
      id: attached.NetworkInterfaceId,
      subnetId: attached.SubnetId,
      addresses: attached.PrivateIpAddresses.toSorted((a, b) => Number(b.Primary) - Number(a.Primary)).map(
        (address) => address.PrivateIpAddress,
      ),
      sourceDestCheck: attached.SourceDestCheck,
    }));
  return {
    ok: true,
    value: { id: InstanceId, state: State.Name, zone: Placement.AvailabilityZone, tags: Tags, interfaces },
  };
}

/** Reads an item of DescribeSubnets. */
export function readSubnet(item: unknown): Reading<CloudSubnet> {
  const parsed = Ec2Subnet.safeParse(item);
  return parsed.success
    ? {
        ok: true,
        value: { id: parsed.data.SubnetId, zone: parsed.data.AvailabilityZone, cidr: parsed.data.CidrBlock },
      }
    : { ok: false, id: undefined, problem: problemOf(parsed.error) };
}

/** Reads an item of DescribeAvailabilityZones; type and state as EC2 names them. */
export function readZone(
  item: unknown,
): Reading<{ readonly name: string; readonly type: string; readonly state: string }> {
  const parsed = Ec2Zone.safeParse(item);
  return parsed.success
    ? {
        ok: true,
        value: { name: parsed.data.ZoneName, type: parsed.data.ZoneType, state: parsed.data.State },
      }
    : { ok: false, id: undefined, problem: problemOf(parsed.error) };
}

/** Reads an item of DescribeVpcs: all IPv4 CIDRs that are the VPC's, or are just becoming so. */
export function readVpcCidrs(item: unknown): Reading<readonly Cidr[]> {
  const parsed = Ec2Vpc.safeParse(item);
  if (!parsed.success) {
    return { ok: false, id: undefined, problem: problemOf(parsed.error) };
  }
  const associated = parsed.data.CidrBlockAssociationSet.filter(
    ({ CidrBlockState }) => CidrBlockState === undefined || /^associat(ed|ing)$/.test(CidrBlockState.State),
  ).map(({ CidrBlock }) => CidrBlock);
  return { ok: true, value: [...new Set([parsed.data.CidrBlock, ...associated])] };
}

/** Reads an item of DescribeRouteTables, all of it or nothing: a plan made on half a table would be wrong. */
export function readRouteTable(item: unknown): Reading<CloudRouteTable> {
  const parsed = Ec2RouteTable.safeParse(item);
  if (!parsed.success) {
    const table = WithRouteTableId.safeParse(item).data;
    return { ok: false, id: table?.RouteTableId, problem: problemOf(parsed.error) };
  }
  const { RouteTableId, Associations, Tags, Routes } = parsed.data;
  const associations = Associations.filter(
    ({ AssociationState }) =>
      AssociationState === undefined || /^associat(ed|ing)$/.test(AssociationState.State),
  );
  return {
    ok: true,
    value: {
      id: RouteTableId,
      main: associations.some(({ Main }) => Main),
      subnetIds: associations.flatMap(({ SubnetId }) => SubnetId ?? []).toSorted(),
      tags: Tags,
      routes: actualRoutes(Routes),
      routeCount: Routes.filter((route) => !isLocal(route) && !isPropagated(route)).length,
    },
  };
}

/** The IPv4 routes. Where a learned and a static route have one destination, the static one is in effect (VPC guide, route priority). */
function actualRoutes(routes: readonly Ec2Route[]): readonly ActualRoute[] {
  const byDestination = new Map<Cidr, Ec2Route>();
  for (const route of routes) {
    const destination = route.DestinationCidrBlock;
    if (destination !== undefined && !(isLearned(route) && byDestination.has(destination))) {
      byDestination.set(destination, route);
    }
  }
  return [...byDestination].map(([destination, route]) => ({
    destination,
    target: targetOf(route),
    // Anything but "active" ("blackhole", "filtered") carries no packet.
    state: route.State === "active" ? "active" : "blackhole",
  }));
}

/** A route to an instance names its interface too; the interface is what we write and compare. */
function targetOf(route: Ec2Route): RouteTarget {
  if (route.NetworkInterfaceId !== undefined) {
    return { kind: "interface", id: route.NetworkInterfaceId };
  }
  if (isLocal(route)) {
    return { kind: "local" };
  }
  const other =
    route.GatewayId ??
    route.NatGatewayId ??
    route.TransitGatewayId ??
    route.VpcPeeringConnectionId ??
    route.InstanceId ??
    route.EgressOnlyInternetGatewayId ??
    route.LocalGatewayId ??
    route.CarrierGatewayId ??
    route.CoreNetworkArn ??
    route.OdbNetworkArn;
  return { kind: "other", id: other ?? "unknown" };
}

function isLocal(route: Ec2Route): boolean {
  return route.GatewayId === "local" && route.NetworkInterfaceId === undefined;
}

/** Routes learned from a VPN gateway have a quota of their own (VPC quotas, "Propagated routes per route table"). */
function isPropagated(route: Ec2Route): boolean {
  return route.Origin === "EnableVgwRoutePropagation";
}

/** Made by a VPN gateway or by VPC Route Server, not by a call. */
function isLearned(route: Ec2Route): boolean {
  return isPropagated(route) || route.Origin === "Advertisement";
}

function problemOf(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ");
}
