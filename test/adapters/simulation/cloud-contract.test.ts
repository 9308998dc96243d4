import { SeededRandom } from "../../../src/adapters/simulation/seeded-random.ts";
import { SimulatedCloud } from "../../../src/adapters/simulation/simulated-cloud.ts";
import { SimulatedEc2 } from "../../../src/adapters/simulation/simulated-ec2.ts";
import { SimulatedRegion } from "../../../src/adapters/simulation/simulated-region.ts";
import { VirtualClock } from "../../../src/adapters/simulation/virtual-clock.ts";
import { parseCidr } from "../../../src/core/net/cidr.ts";
import { cloudContract, type CloudWorld } from "../../contracts/cloud.ts";

/** Longer than the lag of describes and the delay of blackholes. */
const SEEN_BY_ALL_MS = 61_000;
const ZONES = ["us-west-2b", "us-west-2a"];

async function createWorld(): Promise<CloudWorld> {
  const clock = new VirtualClock();
  const region = new SimulatedRegion({ clock, vpcCidrs: [parseCidr("10.0.0.0/16")], zones: ZONES });
  region.addRouteTable({ main: true });
  const ec2 = new SimulatedEc2({ region, clock, random: new SeededRandom("ec2") });
  const cloud = new SimulatedCloud({ region, ec2, clock, random: new SeededRandom("cloud") });
  const run: CloudWorld["run"] = async (work) => {
    const promise = work();
    await clock.runUntilSettled(promise.then(noValue, noValue));
    await clock.runFor(SEEN_BY_ALL_MS);
    return promise;
  };
  return {
    cloud,
    vpcId: region.vpcId,
    zones: ZONES,
    createSubnet: (zone, cidr) => Promise.resolve(region.addSubnet(zone, cidr).id),
    createRouteTable: (subnetIds) => Promise.resolve(region.addRouteTable({ subnetIds }).id),
    runInstance: (subnetId, tags) => {
      const { id, interfaces } = region.launch({ subnetId, tags });
      return Promise.resolve({ instanceId: id, interfaceId: interfaces[0]?.id ?? "" });
    },
    terminateInstance: (instanceId) => Promise.resolve(region.terminate(instanceId)),
    deleteRouteByHand: (routeTableId, destination) =>
      Promise.resolve(region.deleteRoute(routeTableId, destination)),
    limitRoutes: (routes) => {
      region.routeQuota = routes;
    },
    failNext: (action, failure, times) => ec2.failNext(action, failure, times),
    run,
    close: () => Promise.resolve(),
  };
}

const noValue = (): undefined => undefined;

cloudContract("the simulated region", createWorld);
