import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  certificateCaller,
  decideAccess,
  defaultAccess,
  formatRole,
  readRole,
  type Access,
  type Caller,
} from "../../src/core/access/access.ts";
import { parseTokenFile } from "../../src/core/access/token-file.ts";
import { NetworkError } from "../../src/core/errors.ts";

const reader: Caller = { user: "r", role: "reader", host: "" };
const agent: Caller = { user: "a", role: "agent", host: "node-1" };
const admin: Caller = { user: "o", role: "admin", host: "" };

describe("decideAccess", () => {
  it.for([
    [undefined, "allowed unknown unknown unknown"],
    [reader, "allowed allowed denied denied"],
    [agent, "allowed allowed own-host denied"],
    [admin, "allowed allowed allowed allowed"],
  ] as const)("decides for %j on open, reader, agent and admin routes: %s", ([caller, expected]) => {
    const all: readonly Access[] = ["open", "reader", "agent", "admin"];

    expect(all.map((access) => decideAccess(caller, access)).join(" ")).toBe(expected);
  });

  it("takes reads for readers and everything else for admins where a route says nothing", () => {
    expect(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "get"].map(defaultAccess)).toEqual([
      "reader",
      "reader",
      "admin",
      "admin",
      "admin",
      "admin",
      "admin",
    ]);
  });
});

describe("readRole", () => {
  it.for([
    ["admin", admin],
    ["reader", reader],
    ["agent:node-1", agent],
  ] as const)("reads %s, and writes it the same", ([text, expected]) => {
    const caller = readRole(expected.user, text);

    expect(caller).toEqual(expected);
    expect(caller === undefined ? "" : formatRole(caller)).toBe(text);
  });

  it.for(["", "Admin", "root", "agent", "agent:", "reader:node-1", "admin "])("knows no role %j", (text) => {
    expect(readRole("u", text)).toBeUndefined();
  });

  it("keeps a host letter by letter", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (host) => {
        expect(readRole("u", `agent:${host}`)?.host).toBe(host);
      }),
    );
  });
});

describe("certificateCaller", () => {
  it.for([
    [["romana:admin"], ["ann"], { user: "ann", role: "admin", host: "" }],
    [["romana:reader"], ["bob"], { user: "bob", role: "reader", host: "" }],
    [["romana:agent"], ["Node-1%2F"], { user: "Node-1%2F", role: "agent", host: "Node-1%2F" }],
    [["Example Inc.", "romana:reader"], ["bob"], { user: "bob", role: "reader", host: "" }],
  ] as const)("takes O=%j, CN=%j", ([organizations, commonNames, expected]) => {
    expect(certificateCaller({ organizations, commonNames })).toEqual(expected);
  });

  it.for([
    [[], ["ann"], /has no O=romana:admin/],
    [["admin"], ["ann"], /has no O=romana:admin/],
    [["Romana:admin"], ["ann"], /has no O=romana:admin/],
    [["romana:reader", "romana:admin"], ["ann"], /2 values of O/],
    [["romana:admin", "romana:admin"], ["ann"], /2 values of O/],
    [["romana:agent:node-1"], ["ann"], /a role that does not exist/],
    [["romana:"], ["ann"], /a role that does not exist/],
    [["romana:admin"], [], /no CN/],
    [["romana:agent"], [""], /no CN/],
    [["romana:agent"], ["node-1", "node-2"], /several CN/],
  ] as const)("takes nobody for O=%j, CN=%j", ([organizations, commonNames, reason]) => {
    expect(certificateCaller({ organizations, commonNames })).toMatch(reason);
  });
});

const token = "0123456789abcdef";

describe("parseTokenFile", () => {
  it("reads tokens with their callers, and skips comments and empty lines", () => {
    const text = `\uFEFF# callers\r\n\r\n${token}-1, ann ,admin\n  # ${token}\n${token}-2,bob,reader\r${token}-3,agents,agent:node-1`;

    expect(parseTokenFile(text)).toEqual([
      { token: `${token}-1`, caller: { user: "ann", role: "admin", host: "" } },
      { token: `${token}-2`, caller: { user: "bob", role: "reader", host: "" } },
      { token: `${token}-3`, caller: { user: "agents", role: "agent", host: "node-1" } },
    ]);
  });

  it.for([
    ["short,ann,admin", /line 1: the token has fewer than 16 characters/],
    [`${token},ann`, /line 1: 2 parts/],
    [`${token},ann,admin,more`, /line 1: 4 parts/],
    [`${token} x,ann,admin`, /line 1: the token has characters/],
    [`${token},,admin`, /line 1: no user/],
    [`#\n${token},ann,root`, /line 2: the role is none of/],
    [`${token},ann,agent:`, /line 1: the role is none of/],
    [`${token},ann,admin\n${token},bob,reader`, /line 2: the token of line 1 again/],
    [`a,b\n${token},ann,admin\nc`, /line 1: .*line 3: /],
  ] as const)("refuses %j whole and names the line", ([text, problem]) => {
    expect(() => parseTokenFile(text)).toThrow(
      expect.objectContaining({ code: "TOKEN_FILE_INVALID", message: expect.stringMatching(problem) }),
    );
  });

  it("repeats nothing of a file that it refuses", () => {
    const part = fc.stringMatching(/^[A-Z]{20,40}$/);
    fc.assert(
      fc.property(fc.array(fc.array(part, { minLength: 1, maxLength: 5 }), { minLength: 1 }), (lines) => {
        let said = "";
        try {
          parseTokenFile(lines.map((parts) => parts.join(",")).join("\n"));
        } catch (error) {
          said =
            error instanceof NetworkError ? JSON.stringify([error.message, error.details]) : String(error);
        }

        expect(said).toContain("line 1");
        expect(lines.flat().filter((text) => said.includes(text))).toEqual([]);
      }),
    );
  });
});
