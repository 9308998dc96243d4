import {
  AssociateRouteTableCommand,
  CreateRouteTableCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeNetworkInterfacesCommand,
  RunInstancesCommand,
  type EC2Client,
  type Instance,
} from "@aws-sdk/client-ec2";

export const LAB_REGION = "us-east-1";
/** What the instances and the controllers call their cluster. */
export const LAB_CLUSTER = "lab";
/** Instances that one call may ask for. */
const RUN_AT_ONCE = 50;

export interface LabInstance {
  readonly name: string;
  readonly id: string;
  readonly interfaceId: string;
  readonly address: string;
  readonly zone: string;
  readonly subnetId: string;
}

/** A VPC of a /16 in moto, with a subnet of a /24 and a route table for each zone. */
export class MotoVpc {
  readonly id: string;
  readonly subnets: string[] = [];
  readonly tables: string[] = [];
  readonly #hand: EC2Client;
  readonly #octets: string;

  private constructor(hand: EC2Client, id: string, octets: string) {
    this.#hand = hand;
    this.id = id;
    this.#octets = octets;
  }

  /** `octets`: the first two of its CIDR, such as `10.40`. */
  static async create(hand: EC2Client, octets: string, zones: number): Promise<MotoVpc> {
    const { Vpc } = await hand.send(new CreateVpcCommand({ CidrBlock: `${octets}.0.0/16` }));
    const vpc = new MotoVpc(hand, Vpc?.VpcId ?? "", octets);
    for (let zone = 0; zone < zones; zone += 1) {
      const SubnetId = await vpc.addSubnet();
      const { RouteTable } = await hand.send(new CreateRouteTableCommand({ VpcId: vpc.id }));
      const RouteTableId = RouteTable?.RouteTableId ?? "";
      await hand.send(new AssociateRouteTableCommand({ RouteTableId, SubnetId }));
      vpc.tables.push(RouteTableId);
    }
    return vpc;
  }

  /** A subnet of the next zone, without a route table of its own; its id. */
  async addSubnet(): Promise<string> {
    const zone = this.subnets.length;
    const { Subnet } = await this.#hand.send(
      new CreateSubnetCommand({
        VpcId: this.id,
        AvailabilityZone: zoneName(zone),
        CidrBlock: `${this.#octets}.${zone}.0/24`,
      }),
    );
    const id = Subnet?.SubnetId ?? "";
    this.subnets.push(id);
    return id;
  }

  /** A new instance with this address; it carries the tags that make it a host. */
  async run(zone: number, address: string): Promise<LabInstance> {
    const [instance] = await this.#run(zone, 1, address);
    if (instance === undefined) {
      throw new Error(`moto ran no instance with the address ${address}`);
    }
    return instance;
  }

  /** So many new instances, with addresses that moto chooses. */
  async runMany(zone: number, count: number): Promise<readonly LabInstance[]> {
    const instances: LabInstance[] = [];
    while (instances.length < count) {
      instances.push(...(await this.#run(zone, Math.min(RUN_AT_ONCE, count - instances.length))));
    }
    return instances;
  }

  /** Whether the Source/Dest check of an interface is on. */
  async checks(interfaceId: string): Promise<boolean> {
    const { NetworkInterfaces } = await this.#hand.send(
      new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [interfaceId] }),
    );
    return NetworkInterfaces?.[0]?.SourceDestCheck === true;
  }

  async #run(zone: number, count: number, address?: string): Promise<readonly LabInstance[]> {
    const subnetId = this.subnets[zone] ?? "";
    const { Instances } = await this.#hand.send(
      new RunInstancesCommand({
        ImageId: "ami-12c6146b",
        InstanceType: "t3.micro",
        MinCount: count,
        MaxCount: count,
        // As on AWS the interface goes with its instance; moto's default leaves it, and its address taken.
        NetworkInterfaces: [
          {
            DeviceIndex: 0,
            SubnetId: subnetId,
            DeleteOnTermination: true,
            ...(address === undefined ? {} : { PrivateIpAddress: address }),
          },
        ],
        TagSpecifications: [
          {
            ResourceType: "instance",
            Tags: [
              { Key: `kubernetes.io/cluster/${LAB_CLUSTER}`, Value: "owned" },
              { Key: "role", Value: "node" },
            ],
          },
        ],
      }),
    );
    return (Instances ?? []).map((instance) => labInstance(instance, zone, subnetId));
  }
}

function labInstance(instance: Instance, zone: number, subnetId: string): LabInstance {
  const [nic] = instance.NetworkInterfaces ?? [];
  const address = nic?.PrivateIpAddress ?? instance.PrivateIpAddress ?? "";
  return {
    name: `ip-${address.replaceAll(".", "-")}`,
    id: instance.InstanceId ?? "",
    interfaceId: nic?.NetworkInterfaceId ?? "",
    address,
    zone: zoneName(zone),
    subnetId,
  };
}

function zoneName(zone: number): string {
  return `${LAB_REGION}${"abcdef"[zone] ?? ""}`;
}
