import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NetworkError } from "../../../src/core/errors.ts";
import { documents, mapOf, problemsOf, read } from "./support.ts";

const host = (name: string, ip: string, more = {}) => ({ name, ip, ...more });

describe("an empty document", () => {
  it.for([null, {}, { networks: [], topologies: [] }, { networks: null, topologies: null }])(
    "gives an empty topology: %j",
    (document) => {
      expect(read(document)).toEqual({
        document: { networks: [], topologies: [] },
        entries: [],
        networks: [],
        hosts: [],
        warnings: [],
      });
    },
  );

  it.for([
    [undefined, "document: expected an object, found nothing"],
    [[], "document: expected an object, found a list"],
    ["x", 'document: expected an object, found the text "x"'],
    [7, "document: expected an object, found the number 7"],
    [false, "document: expected an object, found false"],
    [Symbol.iterator, "document: expected an object, found a symbol"],
  ] as const)("is not %j", ([document, problem]) => {
    expect(problemsOf(document)).toEqual([problem]);
  });
});

describe("a text of a document", () => {
  it("is refused when it holds half a surrogate pair, which no store can hold", () => {
    const problem = "the text is not well-formed: it holds half a surrogate pair (\\ud800 to \\udfff)";

    expect(
      problemsOf({
        networks: [{ name: "\ud83d", cidr: "10.0.0.0/8" }],
        topologies: [
          { networks: [], map: [{ name: "ok \ud83d\ude00", hosts: [host("\ude00", "10.9.9.9")] }] },
        ],
      }),
    ).toEqual(
      expect.arrayContaining([
        `networks[0].name: ${problem}`,
        `topologies[0].map[0].hosts[0].name: ${problem}`,
      ]),
    );
  });
});

describe("a document with problems", () => {
  const refusal = (document: unknown): NetworkError => {
    try {
      read(document);
    } catch (error) {
      if (error instanceof NetworkError) {
        return error;
      }
    }
    throw new Error("expected the document to be refused");
  };

  it("is refused by one error that lists them all, and its warnings", () => {
    const error = refusal({ networks: [{ nam: "a" }], topologies: [7] });

    expect(error).toMatchObject({ kind: "invalid", code: "TOPOLOGY_INVALID" });
    expect(error.details).toEqual({
      problems: [
        "networks[0].name: a network needs a name: topologies refer to it",
        "networks[0].cidr: a network needs its cidr: the range that pod addresses are taken from",
        "topologies[0]: expected an object, found the number 7",
      ],
      warnings: ['networks[0].nam: unknown key "nam" is ignored; did you mean "name"?'],
    });
    expect(error.message).toBe(
      "the topology document has 3 problems, nothing was changed: " +
        "networks[0].name: a network needs a name: topologies refer to it; " +
        "networks[0].cidr: a network needs its cidr: the range that pod addresses are taken from; " +
        "topologies[0]: expected an object, found the number 7",
    );
    expect(refusal(7).message).toMatch(
      /^the topology document has 1 problem, nothing was changed: document: /,
    );
  });

  it("names a thousand of them and counts the rest", () => {
    const error = refusal({ networks: Array.from({ length: 1500 }, () => 0) });

    expect(error.message).toContain("has 1500 problems");
    expect(error.details["problems"]).toHaveLength(1001);
    expect(error.message).toMatch(
      /networks\[999\]: expected an object, found the number 0; document: 500 more like these$/,
    );
  });

  it("shortens a long text that it quotes", () => {
    expect(problemsOf("x".repeat(1000))).toEqual([
      `document: expected an object, found the text "${"x".repeat(40)}…"`,
    ]);
  });

  it("is refused with a NetworkError and nothing else, whatever JSON it is", () => {
    const key = fc.constantFrom(
      "networks",
      "topologies",
      "map",
      "groups",
      "hosts",
      "name",
      "cidr",
      "ip",
      "assignment",
      "tenants",
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom<unknown>(null, "", "a", "10.0.0.0/8", "10.0.0.1", 0, 29, true, "*"),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(key, tie("tree"), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(tree, (document) => {
        expect(Array.isArray(problemsOf(document))).toBe(true);
      }),
    );
  });
});

describe("the normalised document", () => {
  it("reads as the same topology again, and stays as it is", () => {
    fc.assert(
      fc.property(documents, (document) => {
        const first = read(document);
        const second = read(JSON.parse(JSON.stringify(first.document)));
        const placeless = (topology: typeof first) => topology.hosts.map((item) => ({ ...item, place: "" }));

        expect(second.document).toEqual(first.document);
        expect(second.entries).toEqual(first.entries);
        expect(second.networks).toEqual(first.networks);
        expect(placeless(second)).toEqual(placeless(first));
      }),
    );
  });

  it("fills in what was left out and leaves out what says nothing", () => {
    const document = mapOf(
      { dummy: false, routing: "", assignment: {}, hosts: [host("h", "198.18.0.1")] },
      { dummy: true },
    );

    expect(read(document).document).toEqual({
      networks: [{ name: "net", cidr: "10.0.0.0/8", block_mask: 29, tenants: ["*"] }],
      topologies: [
        {
          networks: ["net"],
          map: [
            { name: "", groups: [{ name: "h", ip: "198.18.0.1" }] },
            { name: "", dummy: true },
          ],
        },
      ],
    });
  });
});
