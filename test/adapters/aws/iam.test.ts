import { readdirSync, readFileSync } from "node:fs";

import { runSimulation } from "@cloud-copilot/iam-simulate";
import { describe, expect, it } from "vitest";

const ACCOUNT = "111122223333";
const FILLED_IN: Readonly<Record<string, string>> = {
  Partition: "aws",
  Region: "us-west-2",
  Account: ACCOUNT,
  Vpc: "vpc-0aaa",
  Cluster: "prod.example.com",
};
const CLUSTER_TAG = "aws:ResourceTag/kubernetes.io/cluster/prod.example.com";
const OWN = {
  "ec2:Region": "us-west-2",
  "ec2:Vpc": `arn:aws:ec2:us-west-2:${ACCOUNT}:vpc/vpc-0aaa`,
  [CLUSTER_TAG]: "owned",
};
const TABLE = `arn:aws:ec2:us-west-2:${ACCOUNT}:route-table/rtb-0aaa`;
const INTERFACE = `arn:aws:ec2:us-west-2:${ACCOUNT}:network-interface/eni-0aaa`;

interface Policy {
  readonly Statement: readonly { readonly Action: string | readonly string[] }[];
}

function policyText(name: string): string {
  return readFileSync(new URL(`../../../iam/${name}.json`, import.meta.url), "utf8");
}

function filledIn(name: string): Policy {
  const text = policyText(name).replaceAll(
    /\$\{(\w+)\}/g,
    (_, key: string) => FILLED_IN[key] ?? `missing ${key}`,
  );
  return JSON.parse(text) as Policy;
}

function actionsIn(policy: Policy): readonly string[] {
  return policy.Statement.flatMap(({ Action }) => Action).toSorted();
}

/** The EC2 actions whose commands the adapter imports. */
function actionsCalled(): readonly string[] {
  const folder = new URL("../../../src/adapters/aws/", import.meta.url);
  const names = readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(new URL(file, folder), "utf8"))
    .flatMap((source) => [...source.matchAll(/import (?:type )?\{([^}]*)\} from "@aws-sdk\/client-ec2"/g)])
    .flatMap(([, list]) => (list ?? "").split(","))
    .flatMap((name) => /^\s*(\w+)Command\s*$/.exec(name)?.[1] ?? []);
  return [...new Set(names)].map((name) => `ec2:${name}`).toSorted();
}

/** "Allowed", or how it is refused; anything that the simulator does not accept as a request is an error. */
async function verdict(
  name: string,
  action: string,
  resource: string,
  contextVariables: Record<string, string>,
): Promise<string> {
  const outcome = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${ACCOUNT}:role/romana`,
        action,
        resource: { resource, accountId: ACCOUNT },
        contextVariables,
      },
      identityPolicies: [{ name, policy: filledIn(name) }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (outcome.resultType !== "single") {
    throw new TypeError(`the simulator gave no single result: ${JSON.stringify(outcome)}`);
  }
  return outcome.result.analysis.result;
}

describe("iam/controller.json", () => {
  it("allows exactly the EC2 calls that the adapter makes", () => {
    const called = actionsCalled();

    expect(called.length).toBeGreaterThan(5);
    expect(actionsIn(filledIn("controller"))).toEqual(called);
  });

  it("has only placeholders that the documentation explains", () => {
    const found = [...policyText("controller").matchAll(/\$\{(\w+)\}/g)].map(([, key]) => key ?? "");
    const documented = readFileSync(new URL("../../../docs/iam.md", import.meta.url), "utf8");

    expect([...new Set(found)].toSorted()).toEqual(Object.keys(FILLED_IN).toSorted());
    expect(found.filter((key) => !documented.includes(`\`\${${key}}\``))).toEqual([]);
  });

  it.for([
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
  ])("allows %s, in its region only", async (action) => {
    expect(await verdict("controller", action, "*", { "ec2:Region": "us-west-2" })).toBe("Allowed");
    expect(await verdict("controller", action, "*", { "ec2:Region": "eu-west-1" })).toBe("ImplicitlyDenied");
  });

  describe.for(["ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"])("%s", (action) => {
    it("is allowed on the cluster's tables, whether owned or shared", async () => {
      expect(await verdict("controller", action, TABLE, OWN)).toBe("Allowed");
      expect(await verdict("controller", action, TABLE, { ...OWN, [CLUSTER_TAG]: "shared" })).toBe("Allowed");
    });

    it.for([
      ["another VPC", { ...OWN, "ec2:Vpc": `arn:aws:ec2:us-west-2:${ACCOUNT}:vpc/vpc-0bbb` }],
      [
        "another cluster's tag",
        {
          "ec2:Vpc": OWN["ec2:Vpc"],
          "aws:ResourceTag/kubernetes.io/cluster/test.example.com": "owned",
        },
      ],
      ["no tag", { "ec2:Vpc": OWN["ec2:Vpc"] }],
      ["no VPC told", { [CLUSTER_TAG]: "owned" }],
    ] as const)("is refused for a table with %s", async ([, context]) => {
      expect(await verdict("controller", action, TABLE, { ...context })).toBe("ImplicitlyDenied");
    });

    it("is refused for a table of another account or region", async () => {
      const foreign = TABLE.replace(ACCOUNT, "999900001111");
      const elsewhere = TABLE.replace("us-west-2", "eu-west-1");

      expect(await verdict("controller", action, foreign, OWN)).toBe("ImplicitlyDenied");
      expect(await verdict("controller", action, elsewhere, OWN)).toBe("ImplicitlyDenied");
    });
  });

  describe("ec2:ModifyNetworkInterfaceAttribute", () => {
    const action = "ec2:ModifyNetworkInterfaceAttribute";
    const flag = { ...OWN, "ec2:Attribute": "SourceDestCheck" };

    it("is allowed for the check of the cluster's interfaces", async () => {
      expect(await verdict("controller", action, INTERFACE, flag)).toBe("Allowed");
    });

    it.for([
      ["another attribute", { ...flag, "ec2:Attribute": "GroupSet" }],
      ["an attribute that is not told", OWN],
      ["another VPC", { ...flag, "ec2:Vpc": `arn:aws:ec2:us-west-2:${ACCOUNT}:vpc/vpc-0bbb` }],
      ["no tag", { "ec2:Vpc": OWN["ec2:Vpc"], "ec2:Attribute": "SourceDestCheck" }],
    ] as const)("is refused for %s", async ([, context]) => {
      expect(await verdict("controller", action, INTERFACE, { ...context })).toBe("ImplicitlyDenied");
    });
  });

  it.for([
    ["ec2:TerminateInstances", `arn:aws:ec2:us-west-2:${ACCOUNT}:instance/i-0aaa`],
    ["ec2:DeleteRouteTable", TABLE],
    ["ec2:ModifyInstanceAttribute", `arn:aws:ec2:us-west-2:${ACCOUNT}:instance/i-0aaa`],
  ] as const)("refuses %s, which the controller never calls", async ([action, resource]) => {
    expect(await verdict("controller", action, resource, { [CLUSTER_TAG]: "owned" })).toBe(
      "ImplicitlyDenied",
    );
  });
});

describe("iam/vpc-router.json", () => {
  const inVpc = { "ec2:Region": "us-west-2", "ec2:Vpc": OWN["ec2:Vpc"] };
  const otherVpc = { ...inVpc, "ec2:Vpc": `arn:aws:ec2:us-west-2:${ACCOUNT}:vpc/vpc-0bbb` };

  it("allows exactly the EC2 calls that the adapter makes, but the one that only the choice of a topology needs", () => {
    expect(actionsIn(filledIn("vpc-router"))).toEqual(
      actionsCalled().filter((action) => action !== "ec2:DescribeAvailabilityZones"),
    );
  });

  it("has the controller's placeholders but for the cluster", () => {
    const found = [...policyText("vpc-router").matchAll(/\$\{(\w+)\}/g)].map(([, key]) => key ?? "");

    expect([...new Set(found)].toSorted()).toEqual(["Account", "Partition", "Region", "Vpc"]);
  });

  it("allows Describe calls in its region only", async () => {
    for (const action of ["ec2:DescribeInstances", "ec2:DescribeRouteTables", "ec2:DescribeSubnets"]) {
      expect(await verdict("vpc-router", action, "*", inVpc)).toBe("Allowed");
      expect(await verdict("vpc-router", action, "*", { "ec2:Region": "eu-west-1" })).toBe(
        "ImplicitlyDenied",
      );
    }
  });

  it.for(["ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"])(
    "allows %s in the VPC's tables, tagged or not, and nowhere else",
    async (action) => {
      expect(await verdict("vpc-router", action, TABLE, inVpc)).toBe("Allowed");
      expect(await verdict("vpc-router", action, TABLE, otherVpc)).toBe("ImplicitlyDenied");
      expect(await verdict("vpc-router", action, TABLE.replace(ACCOUNT, "999900001111"), inVpc)).toBe(
        "ImplicitlyDenied",
      );
      expect(await verdict("vpc-router", action, TABLE, { "ec2:Region": "us-west-2" })).toBe(
        "ImplicitlyDenied",
      );
    },
  );

  it("allows to turn off the check of the VPC's interfaces, and no other attribute", async () => {
    const action = "ec2:ModifyNetworkInterfaceAttribute";
    const flag = { "ec2:Attribute": "SourceDestCheck" };

    expect(await verdict("vpc-router", action, INTERFACE, { ...inVpc, ...flag })).toBe("Allowed");
    expect(await verdict("vpc-router", action, INTERFACE, { ...otherVpc, ...flag })).toBe("ImplicitlyDenied");
    expect(await verdict("vpc-router", action, INTERFACE, { ...inVpc, "ec2:Attribute": "GroupSet" })).toBe(
      "ImplicitlyDenied",
    );
    expect(await verdict("vpc-router", action, INTERFACE, inVpc)).toBe("ImplicitlyDenied");
  });

  it("refuses what the router never calls", async () => {
    expect(await verdict("vpc-router", "ec2:DeleteRouteTable", TABLE, inVpc)).toBe("ImplicitlyDenied");
  });
});

describe("iam/node.json", () => {
  it("names no action of EC2, and only one that needs no permission", () => {
    expect(actionsIn(filledIn("node"))).toEqual(["sts:GetCallerIdentity"]);
  });

  it("allows none of the controller's calls", async () => {
    expect(await verdict("node", "ec2:DescribeInstances", "*", { "ec2:Region": "us-west-2" })).toBe(
      "ImplicitlyDenied",
    );
    expect(await verdict("node", "ec2:CreateRoute", TABLE, OWN)).toBe("ImplicitlyDenied");
  });
});
