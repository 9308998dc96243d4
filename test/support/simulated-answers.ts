import type { ActualRoute, CloudInstance, CloudRouteTable, CloudSubnet } from "../../src/core/cloud/facts.ts";
import { rangeOf, type Cidr } from "../../src/core/net/cidr.ts";

/** An element's content: text, child elements in their order, or a list, which EC2 writes as `item` elements. `undefined` leaves the element out. */
export type XmlValue = string | number | boolean | XmlNode | readonly XmlNode[] | undefined;
export interface XmlNode {
  readonly [element: string]: XmlValue;
}

/** What is the same for everything in one region and account. */
export interface AnswerContext {
  readonly region: string;
  readonly vpcId: string;
  /** When an instance was launched; ISO 8601. */
  readonly launchTime: (instanceId: string) => string;
  /** The instance that an interface is attached to, if it still is. */
  readonly instanceOf: (interfaceId: string) => string | undefined;
}

const ACCOUNT = "123456789012";
const STATE_CODES: Readonly<Record<CloudInstance["state"], number>> = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};
const SECURITY_GROUPS: readonly XmlNode[] = [
  { groupId: "sg-0a1b2c3d4e5f60718", groupName: "nodes.bench.example.com" },
  { groupId: "sg-0f1e2d3c4b5a69788", groupName: "bench-cluster-internal" },
];

/** An answer of EC2's query protocol, version 2016-11-15, laid out as EC2 lays it out. */
export function renderAnswer(action: string, requestId: string, body: XmlNode): string {
  const content = children({ requestId, ...body }, 1);
  return (
    `<?xml version="1.0" encoding="UTF-8"?>\n` +
    `<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">\n${content}</${action}Response>`
  );
}

/**
 * An item of `reservationSet` with one instance: every field that AWS gives for a running Linux node of an Auto Scaling group (EC2 API reference,
 * Instance; hypervisor Nitro, one EBS volume, IMDSv2), so that reading it costs what reading AWS' own costs.
 */
export function reservation(instance: CloudInstance, context: AnswerContext): XmlNode {
  return {
    reservationId: renamed(instance.id, "r"),
    ownerId: ACCOUNT,
    requesterId: "940372691376",
    groupSet: [],
    instancesSet: [instanceItem(instance, context)],
  };
}

function instanceItem(instance: CloudInstance, context: AnswerContext): XmlNode {
  const { id, interfaces } = instance;
  const primary = interfaces[0];
  const address = primary?.addresses[0];
  const launchTime = context.launchTime(id);
  return {
    instanceId: id,
    imageId: "ami-0c2ab3b8efb09f272",
    instanceState: { code: STATE_CODES[instance.state], name: instance.state },
    privateDnsName: dnsName(address, context),
    dnsName: "",
    reason: instance.state === "terminated" ? "User initiated" : "",
    keyName: "kubernetes.bench.example.com-aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99",
    amiLaunchIndex: 0,
    productCodes: [],
    instanceType: "m6i.xlarge",
    launchTime,
    placement: { availabilityZone: instance.zone, groupName: "", tenancy: "default" },
    monitoring: { state: "enabled" },
    ...(primary === undefined ? {} : { subnetId: primary.subnetId, vpcId: context.vpcId }),
    privateIpAddress: address,
    sourceDestCheck: primary?.sourceDestCheck,
    groupSet: primary === undefined ? [] : SECURITY_GROUPS,
    architecture: "x86_64",
    rootDeviceType: "ebs",
    rootDeviceName: "/dev/xvda",
    blockDeviceMapping: [
      {
        deviceName: "/dev/xvda",
        ebs: {
          volumeId: renamed(id, "vol"),
          status: "attached",
          attachTime: launchTime,
          deleteOnTermination: true,
        },
      },
    ],
    virtualizationType: "hvm",
    clientToken: `fleet-${renamed(id, "5f0d2c1a-8b9e-1f4b-7c6d")}-0`,
    tagSet: Object.entries(instance.tags).map(([key, value]) => ({ key, value })),
    hypervisor: "xen",
    networkInterfaceSet: interfaces.map((card, index) => ({
      networkInterfaceId: card.id,
      subnetId: card.subnetId,
      vpcId: context.vpcId,
      description: "",
      ownerId: ACCOUNT,
      status: "in-use",
      macAddress: macAddress(card.id),
      privateIpAddress: card.addresses[0],
      privateDnsName: dnsName(card.addresses[0], context),
      sourceDestCheck: card.sourceDestCheck,
      groupSet: SECURITY_GROUPS,
      attachment: {
        attachmentId: renamed(card.id, "eni-attach"),
        deviceIndex: index,
        status: "attached",
        attachTime: launchTime,
        deleteOnTermination: true,
        networkCardIndex: 0,
      },
      privateIpAddressesSet: card.addresses.map((privateIpAddress, position) => ({
        privateIpAddress,
        privateDnsName: dnsName(privateIpAddress, context),
        primary: position === 0,
      })),
      ipv6AddressesSet: [],
      interfaceType: "interface",
      operator: { managed: false },
    })),
    iamInstanceProfile: {
      arn: `arn:aws:iam::${ACCOUNT}:instance-profile/nodes.bench.example.com`,
      id: "AIPAJQABLZS4A3QDU576Q",
    },
    ebsOptimized: true,
    enaSupport: true,
    cpuOptions: { coreCount: 2, threadsPerCore: 2 },
    capacityReservationSpecification: { capacityReservationPreference: "open" },
    hibernationOptions: { configured: false },
    metadataOptions: {
      state: "applied",
      httpTokens: "required",
      httpPutResponseHopLimit: 2,
      httpEndpoint: "enabled",
      httpProtocolIpv6: "disabled",
      instanceMetadataTags: "disabled",
    },
    enclaveOptions: { enabled: false },
    platformDetails: "Linux/UNIX",
    usageOperation: "RunInstances",
    usageOperationUpdateTime: launchTime,
    privateDnsNameOptions: {
      hostnameType: "ip-name",
      enableResourceNameDnsARecord: false,
      enableResourceNameDnsAAAARecord: false,
    },
    maintenanceOptions: { autoRecovery: "default", rebootMigration: "default" },
    bootMode: "uefi-preferred",
    currentInstanceBootMode: "uefi",
    networkPerformanceOptions: { bandwidthWeighting: "default" },
    operator: { managed: false },
  };
}

/** An item of `routeTableSet`. Routes that only count against the quota are shown as IPv6 routes. */
export function routeTable(table: CloudRouteTable, context: AnswerContext): XmlNode {
  const counted = table.routes.filter(({ target }) => target.kind !== "local").length;
  const ipv6 = Array.from({ length: table.routeCount - counted }, (_, index) => ({
    destinationIpv6CidrBlock: `2001:db8:${index.toString(16)}::/48`,
    egressOnlyInternetGatewayId: "eigw-0a1b2c3d4e5f60718",
    origin: "CreateRoute",
    state: "active",
  }));
  return {
    routeTableId: table.id,
    vpcId: context.vpcId,
    ownerId: ACCOUNT,
    routeSet: [...table.routes.map((route) => routeItem(route, context)), ...ipv6],
    associationSet: [
      ...(table.main ? [association(table.id, undefined)] : []),
      ...table.subnetIds.map((subnetId) => association(table.id, subnetId)),
    ],
    propagatingVgwSet: [],
    tagSet: Object.entries(table.tags).map(([key, value]) => ({ key, value })),
  };
}

function routeItem({ destination, target, state }: ActualRoute, { instanceOf }: AnswerContext): XmlNode {
  const destinationCidrBlock = destination;
  switch (target.kind) {
    case "local":
      return { destinationCidrBlock, gatewayId: "local", state, origin: "CreateRouteTable" };
    case "other":
      return { destinationCidrBlock, gatewayId: target.id, state, origin: "CreateRoute" };
    case "interface": {
      const instanceId = instanceOf(target.id);
      return {
        destinationCidrBlock,
        instanceId,
        instanceOwnerId: instanceId === undefined ? undefined : ACCOUNT,
        networkInterfaceId: target.id,
        state,
        origin: "CreateRoute",
      };
    }
  }
}

function association(routeTableId: string, subnetId: string | undefined): XmlNode {
  return {
    routeTableAssociationId: renamed(subnetId ?? routeTableId, "rtbassoc"),
    routeTableId,
    subnetId,
    main: subnetId === undefined,
    associationState: { state: "associated" },
  };
}

/** An item of `subnetSet`. */
export function subnet({ id, zone, cidr }: CloudSubnet, context: AnswerContext): XmlNode {
  return {
    subnetId: id,
    subnetArn: `arn:aws:ec2:${context.region}:${ACCOUNT}:subnet/${id}`,
    state: "available",
    ownerId: ACCOUNT,
    vpcId: context.vpcId,
    cidrBlock: cidr,
    ipv6CidrBlockAssociationSet: [],
    // AWS keeps five addresses of each subnet; those in use are not subtracted here.
    availableIpAddressCount: rangeOf(cidr).size - 5,
    availabilityZone: zone,
    availabilityZoneId: `az-${zone}`,
    defaultForAz: false,
    mapPublicIpOnLaunch: false,
    assignIpv6AddressOnCreation: false,
    mapCustomerOwnedIpOnLaunch: false,
    enableDns64: false,
    ipv6Native: false,
    privateDnsNameOptionsOnLaunch: {
      hostnameType: "ip-name",
      enableResourceNameDnsARecord: false,
      enableResourceNameDnsAAAARecord: false,
    },
    tagSet: [],
  };
}

/** An item of `vpcSet`. */
export function vpc({ id, cidrs }: { readonly id: string; readonly cidrs: readonly Cidr[] }): XmlNode {
  return {
    vpcId: id,
    ownerId: ACCOUNT,
    state: "available",
    cidrBlock: cidrs[0],
    cidrBlockAssociationSet: cidrs.map((cidrBlock, index) => ({
      associationId: `vpc-cidr-assoc-0000000${index}`,
      cidrBlock,
      cidrBlockState: { state: "associated" },
    })),
    dhcpOptionsId: "dopt-0a1b2c3d4e5f60718",
    instanceTenancy: "default",
    isDefault: false,
    tagSet: [],
  };
}

/** An item of `availabilityZoneInfo`. */
export function availabilityZone(name: string, { region }: AnswerContext): XmlNode {
  return {
    optInStatus: "opt-in-not-required",
    zoneName: name,
    zoneType: "availability-zone",
    zoneState: "available",
    regionName: region,
    groupName: region,
    networkBorderGroup: region,
    messageSet: [],
  };
}

/** `i-0000002a` as the id of something else that belongs to it: `vol-0000002a`. */
function renamed(id: string, kind: string): string {
  return `${kind}-${id.slice(id.lastIndexOf("-") + 1)}`;
}

function dnsName(address: string | undefined, { region }: AnswerContext): string {
  return address === undefined ? "" : `ip-${address.replaceAll(".", "-")}.${region}.compute.internal`;
}

/** A locally administered one, made of the last eight digits of the id. */
function macAddress(interfaceId: string): string {
  const digits = interfaceId.slice(interfaceId.lastIndexOf("-") + 1).slice(-8);
  return `02:9d:${digits.replaceAll(/(..)(?=.)/g, "$1:")}`;
}

function children(node: XmlNode, depth: number): string {
  let text = "";
  for (const [name, value] of Object.entries(node)) {
    text += element(name, value, depth);
  }
  return text;
}

function element(name: string, value: XmlValue, depth: number): string {
  if (value === undefined) {
    return "";
  }
  const indent = "    ".repeat(depth);
  if (typeof value !== "object") {
    return value === "" ? `${indent}<${name}/>\n` : `${indent}<${name}>${escaped(String(value))}</${name}>\n`;
  }
  const content = isList(value)
    ? value.map((item) => element("item", item, depth + 1)).join("")
    : children(value, depth + 1);
  return content === "" ? `${indent}<${name}/>\n` : `${indent}<${name}>\n${content}${indent}</${name}>\n`;
}

function isList(value: XmlNode | readonly XmlNode[]): value is readonly XmlNode[] {
  return Array.isArray(value);
}

function escaped(text: string): string {
  return /[&<>]/.test(text)
    ? text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    : text;
}
