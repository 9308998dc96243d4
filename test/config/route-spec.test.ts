import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { readRouteSpec } from "../../src/config/route-spec.ts";
import { NetworkError } from "../../src/core/errors.ts";
import { formatCidr } from "../../src/core/net/cidr.ts";
import { formatIpv4 } from "../../src/core/net/ipv4.ts";
import { addressesOf, demandOf } from "../../src/core/routing/route-spec.ts";

function read(text: string, allowEmpty = false) {
  return readRouteSpec(text, { source: "routes.json", allowEmpty });
}

function problemsOf(text: string, allowEmpty = false): readonly string[] {
  try {
    read(text, allowEmpty);
  } catch (error) {
    if (error instanceof NetworkError && error.code === "ROUTE_SPEC_INVALID") {
      return error.details["problems"] as readonly string[];
    }
    throw error;
  }
  return [];
}

describe("a route spec", () => {
  it("has destinations with their addresses in the order given, each once, comments left out", () => {
    const spec = read(`# gateways of the VPN
      {
        "10.1.0.0/16": ["172.20.64.9", "172.20.32.5", "172.20.64.9"], // two
        "0.0.0.0/0": ["172.20.32.5"]
      }`);

    expect([...spec.routes]).toEqual([
      ["10.1.0.0/16", ["172.20.64.9", "172.20.32.5"]],
      ["0.0.0.0/0", ["172.20.32.5"]],
    ]);
    expect(addressesOf(spec)).toEqual(["172.20.32.5", "172.20.64.9"]);
  });

  it("keeps the document as it was given", () => {
    expect(read('{"10.1.0.0/16": ["1.2.3.4", "1.2.3.4"]}').document).toEqual({
      "10.1.0.0/16": ["1.2.3.4", "1.2.3.4"],
    });
  });

  it("may overlap itself", () => {
    expect(
      read('{"10.0.0.0/8": ["1.2.3.4"], "10.1.0.0/16": ["1.2.3.4"], "10.1.0.1/32": ["1.2.3.4"]}').routes.size,
    ).toBe(3);
  });

  it.for([
    [
      "host bits",
      '{"10.1.2.3/16": ["1.2.3.4"]}',
      'line 1, column 2: not an IPv4 network: "10.1.2.3/16" (write it as 10.1.0.0/16)',
    ],
    [
      "no network",
      '{"10.1": ["1.2.3.4"]}',
      'line 1, column 2: not an IPv4 network: "10.1" (expected a.b.c.d/length)',
    ],
    [
      "IPv6",
      '{"fd00::/8": ["1.2.3.4"]}',
      'line 1, column 2: not an IPv4 network: "fd00::/8" (expected a.b.c.d/length)',
    ],
    [
      "no address",
      '{"10.1.0.0/16": ["1.2.3"]}',
      'line 1, column 18: not an IPv4 address: "1.2.3" (expected a.b.c.d)',
    ],
    [
      "a name",
      '{"10.1.0.0/16": ["i-0123456789"]}',
      'line 1, column 18: not an IPv4 address: "i-0123456789" (expected a.b.c.d)',
    ],
    [
      "a number",
      '{"10.1.0.0/16": [4]}',
      'line 1, column 18: expected an address in quotes, such as "172.20.32.5"',
    ],
    ["null", '{"10.1.0.0/16": null}', "line 1, column 17: expected a list of addresses"],
    [
      "a text in the place of a list",
      '{"10.1.0.0/16": "1.2.3.4"}',
      "line 1, column 17: expected a list of addresses",
    ],
    [
      "a list",
      '["10.1.0.0/16"]',
      'line 1, column 1: expected an object of networks, such as {"10.1.0.0/16": ["172.20.32.5"]}',
    ],
    [
      "a destination that comes twice",
      '{\n"10.1.0.0/16": ["1.2.3.4"],\n"10.1.0.0/16": ["1.2.3.5"]}',
      "line 3, column 1: 10.1.0.0/16 is listed before, in line 2, column 1: put all its addresses into one list",
    ],
    [
      "a key that means something to JavaScript",
      '{"__proto__": ["1.2.3.4"]}',
      'line 1, column 2: not an IPv4 network: "__proto__" (expected a.b.c.d/length)',
    ],
  ] as const)("refuses %s, with its place", ([, text, problem]) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  it("refuses a text that is cut off anywhere, so that a half-written file is never taken", () => {
    const text = '{"10.1.0.0/16": ["172.20.32.5", "172.20.64.9"], "10.2.0.0/16": ["172.20.32.5"]}';
    for (let length = 0; length < text.length; length += 1) {
      expect(problemsOf(text.slice(0, length))).toHaveLength(1);
    }
    expect(problemsOf(text)).toEqual([]);
  });

  it("looks for no more than a thousand problems", () => {
    const text = JSON.stringify({ "10.1.0.0/16": Array.from({ length: 5000 }, () => "x") });

    expect(() => read(text)).toThrow(/it has at least 1000 problems:[^]*and 950 more$/);
  });

  it("refuses a list that goes as deep as its size allows", () => {
    const deep = `{"10.1.0.0/16": ${"[".repeat(500_000)}${"]".repeat(500_000)}}`;

    expect(problemsOf(deep)).toEqual([
      'line 1, column 18: expected an address in quotes, such as "172.20.32.5"',
    ]);
  });

  it("sees a key that comes again with its characters escaped", () => {
    expect(problemsOf(String.raw`{"10.1.0.0/16": ["1.2.3.4"], "10.1.0.0\/16": ["1.2.3.5"]}`)).toEqual([
      "line 1, column 30: 10.1.0.0/16 is listed before, in line 1, column 2: put all its addresses into one list",
    ]);
  });

  it("names all problems in one message", () => {
    expect(() => read('{"10.1.2.3/16": ["x"],\n "10.2.0.0/16": [7]}')).toThrow(
      'the route spec routes.json is refused, it has 3 problems:\n  - line 1, column 2: not an IPv4 network: "10.1.2.3/16" (write it as 10.1.0.0/16)\n' +
        '  - line 1, column 18: not an IPv4 address: "x" (expected a.b.c.d)\n  - line 2, column 18: expected an address in quotes, such as "172.20.32.5"',
    );
  });

  it("lists fifty problems of more, and says how many more there are", () => {
    const text = JSON.stringify(
      Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`n${index}`, ["1.2.3.4"]])),
    );

    expect(problemsOf(text)).toHaveLength(50);
    expect(() => read(text)).toThrow(/it has 60 problems:[^]*and 10 more$/);
  });

  it.for([
    ["an empty file", ""],
    ["a file of comments", "# nothing yet\n"],
    ["an empty object", "{}"],
    ["an empty list of addresses", '{"10.1.0.0/16": []}'],
  ] as const)("refuses %s unless that is allowed, and says how", ([, text]) => {
    expect(problemsOf(text)).toHaveLength(1);
    expect(problemsOf(text)[0]).toMatch(/--allow-empty$/);
    expect(read(text, true).routes.size).toBe(0);
  });

  it("takes no cut off text with --allow-empty either, but for the empty one", () => {
    const text = '{"10.1.0.0/16": []}';
    for (let length = 1; length < text.length; length += 1) {
      expect(problemsOf(text.slice(0, length), true)).toHaveLength(1);
    }
  });

  it("is the same after it was written with any spacing and comments", () => {
    const cidr = fc
      .tuple(fc.nat(2 ** 32 - 1), fc.integer({ min: 0, max: 32 }))
      .map(([first, length]) => formatCidr(first, length));
    const address = fc.nat(2 ** 32 - 1).map(formatIpv4);
    const routes = fc.uniqueArray(fc.tuple(cidr, fc.uniqueArray(address, { minLength: 1, maxLength: 5 })), {
      selector: ([destination]) => destination,
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(routes, fc.nat(4), (list, indent) => {
        const text = JSON.stringify(Object.fromEntries(list), undefined, indent).replaceAll(
          "],",
          "], # and\n",
        );

        expect(read(`# a list\n${text}`).routes).toEqual(new Map(list));
      }),
    );
  });

  it("never ends in anything but a list or a refusal, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.json(), fc.stringMatching(/^[{}[\]",:0-9./# \n\\-]{0,60}$/)),
        (text) => {
          problemsOf(text);
          problemsOf(text, true);
        },
      ),
    );
  });
});

it("makes hosts of the addresses, and asks for nothing that is listed without any", () => {
  const demand = demandOf(
    read('{"10.2.0.0/16": ["1.2.3.5"], "10.1.0.0/16": ["1.2.3.5", "1.2.3.4"], "10.3.0.0/16": []}', true),
    true,
  );

  expect(demand.listed).toEqual([
    { destination: "10.1.0.0/16", hosts: ["1.2.3.5", "1.2.3.4"] },
    { destination: "10.2.0.0/16", hosts: ["1.2.3.5"] },
  ]);
  expect(demand.hosts.map(({ name, ip }) => `${name} ${ip}`)).toEqual(["1.2.3.4 1.2.3.4", "1.2.3.5 1.2.3.5"]);
  expect(demand.takeOver).toBe(true);
});
