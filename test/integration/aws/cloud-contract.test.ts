import { afterAll, beforeAll, describe } from "vitest";

import { cloudContract } from "../../contracts/cloud.ts";
import { startEc2Proxy } from "../../support/ec2-proxy.ts";
import { requireMoto, startMoto, type Moto } from "../../support/moto.ts";
import { createMotoWorld } from "./moto-world.ts";

describe.skipIf(requireMoto())("on moto", () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
  });
  afterAll(() => moto.stop());

  cloudContract("Ec2Cloud, moto bare,", () => createMotoWorld(moto.endpoint), [
    "refuses a second route on a destination",
    "refuses routes inside the VPC",
    "shows blackholes",
    "limits routes",
    "fails on demand",
  ]);

  cloudContract("Ec2Cloud, moto behind the proxy,", async () =>
    createMotoWorld(moto.endpoint, await startEc2Proxy(moto.endpoint)),
  );
});
