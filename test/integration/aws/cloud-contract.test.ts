import { afterAll, beforeAll } from "vitest";

import { cloudContract } from "../../contracts/cloud.ts";
import { startEc2Proxy } from "../../support/ec2-proxy.ts";
import { startMoto } from "./moto-server.ts";
import { createMotoWorld } from "./moto-world.ts";

let moto: Awaited<ReturnType<typeof startMoto>>;
beforeAll(async () => {
  moto = await startMoto();
});
afterAll(() => moto.stop());

cloudContract("Ec2Cloud on moto", () => createMotoWorld(moto.endpoint), [
  "refuses a second route on a destination",
  "refuses routes inside the VPC",
  "shows blackholes",
]);

cloudContract("Ec2Cloud on moto behind the proxy", async () =>
  createMotoWorld(moto.endpoint, await startEc2Proxy(moto.endpoint)),
);
