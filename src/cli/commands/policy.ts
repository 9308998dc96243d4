import type { Command } from "commander";

import type { PolicyDocument } from "../../client/wire.ts";
import { NetworkError } from "../../core/errors.ts";
import { idOfName } from "../../core/policy/policy.ts";
import { collect } from "../collect.ts";
import { readDocuments } from "../documents.ts";
import { examples } from "../examples.ts";
import { originalAdded, originalPolicies, originalPolicyDetails } from "../original-policies.ts";
import { countsOf, endpointText, policyText } from "../policy-text.ts";
import type { OpenSession, Session } from "../session.ts";
import type { Column } from "../table.ts";
import { addWatch, watchList } from "../watch-list.ts";

const columns: readonly Column<PolicyDocument>[] = [
  { header: "ID", cell: ({ id }) => id },
  { header: "NAME", cell: ({ name }) => name ?? "-" },
  { header: "DIRECTION", cell: ({ direction }) => direction ?? "ingress" },
  {
    header: "APPLIED TO",
    cell: ({ applied_to: targets }) => (targets ?? []).map(endpointText).join("; ") || "-",
  },
  { header: "PEERS", cell: (policy) => countsOf(policy).peers },
  { header: "RULES", cell: (policy) => countsOf(policy).rules },
  { header: "DESCRIPTION", cell: ({ description }) => description || "-", wide: true },
];

/** `romana policy`. */
export function policyCommands(program: Command, open: OpenSession): void {
  const policy = program.command("policy").description("policies: who may talk to whom");

  examples(
    policy
      .command("add")
      .argument(
        "[file...]",
        "documents of either form, JSON with comments or YAML; - or none: standard input",
      )
      .description("store policies; one with an id that is known replaces it"),
    [
      ["romana policy add web.json", "one policy, a list of them, or a document with securitypolicies"],
      ["romana policy add < web.json", "from standard input"],
    ],
  ).action(async (files: readonly string[], _options, command: Command) => {
    const session = await open(command);
    const documents: unknown[] = [];
    for (const file of files.length === 0 ? ["-"] : files) {
      documents.push(...(await readDocuments(session.terminal, file, "POLICY_MALFORMED")));
    }
    await addPolicies(session, documents.flatMap(policiesOf));
  });

  examples(
    policy
      .command("remove")
      .alias("rm")
      .alias("delete")
      .argument("[policy...]", "names or ids; a name that several share is refused")
      .option("-i, --policyid <id>", "an id, and nothing that is a name; may be given several times", collect)
      .description("remove policies"),
    [
      ["romana policy remove web", "by name or id"],
      ["romana policy remove -i 7f3a", "by id alone"],
    ],
  ).action(
    async (
      keys: readonly string[],
      { policyid = [] }: { readonly policyid?: readonly string[] },
      command: Command,
    ) => {
      if (keys.length + policyid.length === 0) {
        command.error("error: missing required argument 'policy'");
      }
      const { client, out } = await open(command);
      const policies = await client.policies();
      const found = [
        ...keys.map((key) => findPolicy(policies, key)),
        ...policyid.map((id) => policies.find((each) => each.id === id) ?? unknownPolicy("the id", id)),
      ];
      for (const { id } of found) {
        await client.removePolicy(id);
        await out.done(`Policy (ID: ${id}) deleted successfully.`, `policy/${id}`);
      }
    },
  );

  examples(addWatch(policy.command("list").alias("ls").description("list policies")), [
    ["romana policy list", "whom each is for, and how much it allows"],
    ["romana policy list -o json", "in full"],
    ["romana policy list --watch", "and then what changes"],
  ]).action(async ({ watch = false }: { readonly watch?: boolean }, command: Command) => {
    const session = await open(command);
    const { client, out } = session;
    if (watch) {
      const key = ({ id }: PolicyDocument): string => id;
      const name = ({ id }: PolicyDocument): string => `policy/${id}`;
      await watchList(session, { kind: "policy-documents", columns, key, name, matches: () => true });
    }
    const policies = await client.policies();
    await out.list({
      value: policies,
      rows: policies,
      columns,
      name: ({ id }) => `policy/${id}`,
      empty: 'No policies: "romana policy add FILE" stores one.',
      original: () => originalPolicies(policies),
    });
  });

  examples(
    policy
      .command("show")
      .argument("<policy...>", "names or ids")
      .description("show policies with all they allow"),
    [["romana policy show web", "peers and traffic"]],
  ).action(async (keys: readonly string[], _options, command: Command) => {
    const { client, out } = await open(command);
    const policies = await client.policies();
    const found = keys.map((key) => findPolicy(policies, key));
    if (out.format === "table" || out.format === "wide") {
      out.text(found.map(policyText).join("\n\n"));
      return;
    }
    await out.list({
      // The original's is a list, however many were asked for.
      value: found.length === 1 && out.format !== "original-json" ? found[0] : found,
      rows: found,
      columns,
      name: ({ id }) => `policy/${id}`,
      empty: "",
      original: () => originalPolicyDetails(found),
    });
  });
}

/** A policy to store: how it is shown, and what is sent. */
interface NewPolicy {
  readonly id: string;
  readonly direction: string;
  readonly body: unknown;
}

/** The policies of a document: a list, the manual's `securitypolicies`, or one. */
function policiesOf(document: unknown): readonly NewPolicy[] {
  if (Array.isArray(document)) {
    return document.map((body: unknown) => newPolicy(body, body));
  }
  const manual = fieldsOf(document)["securitypolicies"];
  if (Array.isArray(manual)) {
    return manual.map((body: unknown) => newPolicy(body, { securitypolicies: [body] }));
  }
  return [newPolicy(document, document)];
}

function newPolicy(policy: unknown, body: unknown): NewPolicy {
  const { id, name, direction } = fieldsOf(policy);
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const known = text(id) || (text(name) === "" ? "-" : idOfName(text(name)));
  return { id: known, direction: text(direction) || "ingress", body };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

/** Stores each by itself, as the original does: one that is refused keeps no other from being stored. Ends with the first failure. */
async function addPolicies(
  { client, out, terminal }: Session,
  policies: readonly NewPolicy[],
): Promise<void> {
  const results: { id: string; direction: string; ok: boolean; failure?: NetworkError }[] = [];
  for (const { id, direction, body } of policies) {
    if (direction === "egress") {
      terminal.note(
        `Warning: policy ${id} has direction egress: it lists what is allowed, all else is closed; the original took it for what is denied`,
      );
    }
    try {
      await client.addPolicy(body);
      results.push({ id, direction, ok: true });
    } catch (error) {
      // Whoever cannot be reached will not be for the others either.
      if (!(error instanceof NetworkError) || error.kind === "transient") {
        throw error;
      }
      results.push({ id, direction, ok: false, failure: error });
    }
  }
  await showAdded(out, results);
  const failed = results.flatMap(({ id, failure }) => (failure === undefined ? [] : [{ id, failure }]));
  const [first, ...others] = failed;
  if (first === undefined) {
    return;
  }
  for (const { id, failure } of others) {
    terminal.note(`Error: policy ${id}: ${failure.message}`);
  }
  const { kind, code, message, details } = first.failure;
  throw new NetworkError(kind, code, `policy ${first.id}: ${message}`, details, first.failure);
}

async function showAdded(
  out: Session["out"],
  results: readonly { id: string; direction: string; ok: boolean; failure?: NetworkError }[],
): Promise<void> {
  const value = results.map(({ id, ok, failure }) => ({
    id,
    status_code: ok ? 200 : Number(failure?.details["status"] ?? 400),
    details: ok ? "200 OK" : (failure?.message ?? ""),
    see_also: "",
  }));
  if (out.format === "original-json") {
    for (const { status_code, details, see_also } of value) {
      await out.document({ status_code, details, see_also });
    }
    return;
  }
  await out.list({
    value,
    rows: out.format === "name" ? results.filter(({ ok }) => ok) : results,
    columns: [
      { header: "ID", cell: ({ id }) => id },
      { header: "DIRECTION", cell: ({ direction }) => direction },
      { header: "STORED", cell: ({ ok }) => (ok ? "yes" : "no") },
    ],
    name: ({ id }) => `policy/${id}`,
    empty: "No policies in there.",
    original: () => originalAdded(results),
  });
}

/** The policy with this id, else the one with this name. Throws `POLICY_NOT_FOUND`, `POLICY_AMBIGUOUS` with the ids. */
function findPolicy(policies: readonly PolicyDocument[], key: string): PolicyDocument {
  const byId = policies.find(({ id }) => id === key);
  const [named, ...others] = byId === undefined ? policies.filter(({ name }) => name === key) : [byId];
  if (named === undefined) {
    return unknownPolicy("the id or the name", key);
  }
  if (others.length > 0) {
    const ids = [named, ...others].map(({ id }) => id);
    throw new NetworkError(
      "conflict",
      "POLICY_AMBIGUOUS",
      `${ids.length} policies are called "${key}": name one by its id: ${ids.join(", ")}`,
      { name: key, ids },
    );
  }
  return named;
}

function unknownPolicy(what: string, key: string): never {
  throw new NetworkError(
    "not-found",
    "POLICY_NOT_FOUND",
    `no policy has ${what} "${key}": "romana policy list" shows those that there are`,
    { policy: key },
  );
}
