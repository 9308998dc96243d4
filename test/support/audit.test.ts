import { describe, expect, it } from "vitest";

import { judgeAudit } from "./audit.ts";
import type { AuditEntry } from "./kube-api.ts";

const RULES = { accounts: ["kube-system/romana-controller"] };
const OURS = "system:serviceaccount:kube-system:romana-controller";

function entry(userAgent: string, username: string, code = 200): AuditEntry {
  return {
    stage: "ResponseComplete",
    verb: "list",
    requestReceivedTimestamp: "2026-01-01T00:00:00Z",
    stageTimestamp: "2026-01-01T00:00:00Z",
    requestURI: "/api/v1/pods",
    userAgent,
    user: { username },
    responseStatus: { code },
  };
}

describe("the judge of the audit log", () => {
  it("has nothing to say of our service account, and of what others do", () => {
    const entries = [
      entry("romana-controller/2.0.0", OURS),
      entry("romana-controller/2.0.0", OURS, 404),
      entry("kubectl/v1.34.4", "system:anonymous", 403),
    ];

    expect(judgeAudit(entries, RULES)).toEqual([]);
  });

  it.for([
    ["another account", entry("romana-controller/2.0.0", "test-admin"), "asked as test-admin"],
    ["nobody", entry("romana-agent/2.0.0", "system:anonymous", 401), "asked as system:anonymous"],
    ["a refusal", entry("romana-controller/2.0.0", OURS, 403), "refused"],
  ] as const)("names %s", ([, wrong, said]) => {
    expect(judgeAudit([entry("romana-controller/2.0.0", OURS), wrong], RULES)).toEqual([
      `${wrong.userAgent}: list /api/v1/pods: ${said}`,
    ]);
  });

  it("lets those refusals pass that were meant, and no other", () => {
    const meant = entry("romana-controller/2.0.0", OURS, 403);
    const other = { ...meant, verb: "watch" };

    const found = judgeAudit([meant, other], { ...RULES, mayBeRefused: ({ verb }) => verb === "list" });

    expect(found).toEqual(["romana-controller/2.0.0: watch /api/v1/pods: refused"]);
  });

  it("judges nothing where none of ours asked", () => {
    expect(() => judgeAudit([entry("kubectl/v1.34.4", OURS)], RULES)).toThrow(/none of 1 requests/);
  });
});
