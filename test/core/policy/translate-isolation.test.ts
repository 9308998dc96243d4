import { expect, it } from "vitest";

import type { ClusterNamespace } from "../../../src/core/cluster/objects.ts";
import { readModel } from "../../../src/core/policy/read-model.ts";
import { translateIsolation } from "../../../src/core/policy/translate-isolation.ts";

function namespace(isolation: string | undefined): ClusterNamespace {
  return {
    uid: "n1",
    namespace: "",
    name: "shop",
    resourceVersion: "1",
    deleting: false,
    labels: {},
    isolation,
  };
}

function translated(isolation: string | undefined) {
  const { verdict, problems } = translateIsolation(namespace(isolation));
  return [verdict, ...problems.map(({ place, message }) => `${place}: ${message}`)];
}

it("closes the tenant of an isolated namespace in ingress, and allows nothing", () => {
  const translation = translateIsolation(namespace('{"ingress":{"isolation":"DefaultDeny"}}'));

  expect(translation).toEqual({
    verdict: "isolated",
    model: {
      id: "isolation.shop.n1",
      source: { kind: "isolation", namespace: "shop", uid: "n1" },
      targets: [{ kind: "tenant", tenant: "shop" }],
      isolates: ["ingress"],
      ingress: [],
      egress: [],
    },
    problems: [],
  });
  expect(translation.verdict === "isolated" && readModel(translation.model)).toEqual(
    translation.verdict === "isolated" && translation.model,
  );
});

it.for([
  [undefined],
  ["{}"],
  ["null"],
  ['{"ingress":{}}'],
  ['{"ingress":null}'],
  ['{"ingress":{"isolation":""}}'],
  ['{"ingress":{"isolation":null}}'],
])("leaves a namespace open for %s", ([text]) => {
  expect(translated(text)).toEqual(["open"]);
});

it.for([
  ["", "not JSON"],
  ["DefaultDeny", "not JSON"],
  ['{"ingress":{"isolation":"DefaultDeny"}', "not JSON"],
  ["[]", "a list and not an object"],
  ['"DefaultDeny"', "and not an object"],
  ['{"ingress":"DefaultDeny"}', "ingress: "],
  ['{"ingress":{"isolation":true}}', "ingress.isolation: "],
])("cannot read %s, and says what to write", ([text, words]) => {
  const [verdict, problem, ...others] = translated(text);

  expect(verdict).toBe("unreadable");
  expect(problem).toContain(words);
  expect(problem).toContain('{"ingress":{"isolation":"DefaultDeny"}}');
  expect(others).toEqual([]);
});

it("is open, as with the original, for an isolation that there is not, and says so", () => {
  const [verdict, problem] = translated('{"ingress":{"isolation":"defaultdeny"}}');

  expect(verdict).toBe("open");
  expect(problem).toContain('ingress.isolation: "defaultdeny" is no isolation');
});

it("says which keys have no effect", () => {
  const text = '{"egress":{"isolation":"DefaultDeny"},"ingress":{"isolation":"DefaultDeny","also":1}}';

  const [verdict, ...problems] = translated(text);

  expect(verdict).toBe("isolated");
  expect(problems.map((problem) => problem.split(":")[0])).toEqual(["egress", "ingress.also"]);
});
